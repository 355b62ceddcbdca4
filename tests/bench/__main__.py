"""`python -m tests.bench [NAME …] [--quick] [--rounds N]`: measure, print a table, write build/bench.json.

Speeds are compared with a ceiling of the same run, never with figures of another machine or day.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

from tests.bench.aid_sizes import aid_sizes
from tests.bench.approvals import approvals
from tests.bench.consume import consume
from tests.bench.demo import demo
from tests.bench.effects import effects
from tests.bench.figures import Figure, keep, table
from tests.bench.ground import Ground, Size, ground
from tests.bench.join import join
from tests.bench.lottery import lottery
from tests.bench.overview import overview
from tests.bench.preview import preview
from tests.bench.registrations import registrations
from tests.bench.relay import relay
from tests.bench.rosters import rosters
from tests.bench.sizes import sizes
from tests.bench.visible import visible

Bench = Callable[[Ground, Size], Awaitable[list[Figure]]]
BENCHES: Final[dict[str, Bench]] = {
    "relay": relay,
    "consume": consume,
    "join": join,
    "visible": visible,
    "effects": effects,
    "rosters": rosters,
    "sizes": sizes,
    "registrations": registrations,
    "approvals": approvals,
    "preview": preview,
    "lottery": lottery,
    "aid_sizes": aid_sizes,
    "overview": overview,
}
#: The service's own code runs in the bench's process: on the same loop as in the service's.
ON_THE_LOOP_OF_SERVICES: Final = frozenset({"registrations", "approvals", "preview", "lottery", "aid_sizes"})
#: Starts servers of its own, as a user does.
DEMO: Final = "demo"


def main() -> int:
    """The exit code tells whether all was measured, not whether it was fast enough."""
    parser = argparse.ArgumentParser(description="Measure speed and memory.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of {', '.join([*BENCHES, DEMO])}; all by default"
    )
    parser.add_argument(
        "--quick", action="store_true", help="try the benches themselves on tiny sizes; nothing is written"
    )
    parser.add_argument(
        "--rounds", type=int, default=0, help="how often each measure is taken (3, or 1 with --quick)"
    )
    chosen = parser.parse_args()
    known = [*BENCHES, DEMO]
    if unknown := [name for name in chosen.names if name not in known]:
        parser.error(f"no bench is called {', '.join(unknown)}; there are {', '.join(known)}")
    # Servers of a bench that is told to end are stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    size = Size(quick=chosen.quick, rounds=chosen.rounds or (1 if chosen.quick else 3))
    figures: list[Figure] = []
    for name in chosen.names or known:
        print(f"{name}:", flush=True)
        began = time.monotonic()
        measured = _measure(name, size)
        figures += measured
        if not size.quick:
            keep(measured)
        print(f"  took {time.monotonic() - began:.0f} s", flush=True)
    print(table(figures))
    return 0


def _measure(name: str, size: Size) -> list[Figure]:
    if name == DEMO:
        return demo(size)
    with ground() as servers:
        run = uvloop.run if name in ON_THE_LOOP_OF_SERVICES else asyncio.run
        return run(_run(BENCHES[name], servers, size))


async def _run(bench: Bench, servers: Ground, size: Size) -> list[Figure]:
    return await bench(servers, size)


if __name__ == "__main__":
    raise SystemExit(main())
