"""`python -m tests.compose`: builds the images, brings all up as an operator would, works through the gateway, takes it down.

With `demo` the profile demo instead, and counts what is in it. Needs a Docker engine of this machine and `docker compose`.
Without: says SKIPPED, and is a failure unless ALLOW_SKIP=1.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

import httpx

from local_stack.plan import SERVICES
from tests.compose import demo, images, smoke
from tests.compose.installation import Composed, ComposeFailed, engine_answers, temporary


def main() -> int:
    """0 when every step passed."""
    if not engine_answers():
        print("SKIPPED compose-test: no Docker engine with compose answers")
        return 0 if os.environ.get("ALLOW_SKIP") == "1" else 1
    began = time.monotonic()
    try:
        if "demo" in sys.argv[1:]:
            with temporary(demo.FILES, COMPOSE_PROFILES="demo") as installation:
                for said in demo.steps(installation):
                    print(f"{time.monotonic() - began:6.1f} s  {said}", flush=True)
        else:
            with temporary() as installation:
                _try(installation)
    except (ComposeFailed, AssertionError, httpx.HTTPError) as failure:
        print(f"FAILED compose-test: {failure}")
        return 1
    print(f"passed compose-test in {time.monotonic() - began:.0f} s")
    return 0


def _try(installation: Composed) -> None:
    with step("build"):
        installation.build()
    for service in SERVICES:
        print("  " + images.check(service, installation.image(service), installation.labels(service)))
    with step("up --wait"):
        installation.compose("up", "--detach", "--wait", "--wait-timeout", "600")
    with step("first administrator"):
        root = installation.bootstrap()
    for said in asyncio.run(smoke.work(installation, root)):
        print(f"  {said}")
    print(f"  memory: {installation.memory()}")
    with step("what is published, and how it runs"):
        installation.check_running()
    with step("stop"):
        installation.compose("stop")
        installation.check_stopped()


class step:  # noqa: N801 - read as a word: `with step("build")`
    """Prints how long the block took."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = time.monotonic()

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, *_: object) -> None:
        """Print, unless it failed."""
        if kind is None:
            print(f"{self._name}: {time.monotonic() - self._began:.1f} s", flush=True)


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    sys.exit(main())
