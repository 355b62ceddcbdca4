"""`python -m tests.faults [words of rows]`: try all rows (or some), print a table; exit code 1 if one does not pass.

A run of all rows writes `build/faults.json`.
"""

import asyncio
import itertools
import json
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.faults import banking, clocks, commands, consumer, effects, moves, poison, races, relay, tampering
from tests.faults.cases import Attempt, Case
from tests.faults.ground import servers, standing_ground
from tests.faults.installation import installed
from tests.faults.ledger import Found

SEED = 20261121
REPORT = Path("build") / "faults.json"
#: Of the last run with a row that did not pass.
LOGS = Path("build") / "faults-logs"
#: Rows that mostly wait (for a lock's or a session's time to end) are tried side by side.
SIDE_BY_SIDE = 5
#: Rows on services of their own; rows on the one installation; and what touches the broker of them all.
ON_SCRATCH = [*relay.cases(), *consumer.cases(), *poison.cases(), *clocks.cases()]
ON_PRODUCT = [
    *moves.cases(),
    *commands.cases(),
    *effects.cases(),
    *races.cases(),
    *banking.cases(),
    *tampering.cases(),
]
LAST = commands.last_cases()


async def tried(world: object, case: Case, row: int) -> dict[str, Any]:
    """The line of the table: first each seeded bug, then the product."""
    began = time.monotonic()
    caught, found, done = True, Found(), 0
    try:
        for number, bug in enumerate(case.bugs):
            seeded = await case.run(world, Attempt(SEED + 100 * row + number, bug=bug))
            print(f"   {case.fault} {case.point}: seeded bug {bug}: {_told(seeded)}", flush=True)
            # By its effects: that a run took too long says nothing about the bug.
            caught = caught and bool(seeded.lost or seeded.doubled or seeded.disordered)
        for number in range(case.runs):
            found += await case.run(world, Attempt(SEED + 100 * row + 50 + number, number))
            done += 1
    except (AssertionError, TimeoutError, OSError, ExceptionGroup) as error:
        traceback.print_exception(error, limit=-6)
        found.problems.append(f"{type(error).__name__}: {error}"[:500])
    for problem in found.problems:
        print(f"   {case.fault} {case.point}: {problem}", flush=True)
    line = {
        "fault": case.fault,
        "point": case.point,
        "runs": done,
        "lost": found.lost,
        "doubled": found.doubled,
        "disordered": found.disordered,
        "seeded_bug_caught": caught,
        "seconds": round(time.monotonic() - began, 1),
        "passed": bool(found.is_clean and caught and done == case.runs),
    }
    print(_line(line), flush=True)
    return line


def _told(found: Found) -> str:
    counts = f"lost {found.lost}, doubled {found.doubled}, disordered {found.disordered}"
    return f"{counts} {found.problems or ''}"


async def all_tried(words: Sequence[str]) -> list[dict[str, Any]]:
    """All rows, or those whose fault and point contain one of `words`."""

    def is_wanted(case: Case) -> bool:
        return not words or any(word in f"{case.fault} {case.point}" for word in words)

    rows = [(row, case) for row, case in enumerate([*ON_SCRATCH, *ON_PRODUCT, *LAST]) if is_wanted(case)]
    with servers() as (postgres, broker):
        async with standing_ground(postgres, broker) as ground, AsyncExitStack() as stack:
            here = None
            if any(case not in ON_SCRATCH for _, case in rows):
                here = await stack.enter_async_context(installed(ground))
            found = await asyncio.gather(
                _side_by_side(ground, [(row, case) for row, case in rows if case in ON_SCRATCH]),
                _one_by_one(here, [(row, case) for row, case in rows if case in ON_PRODUCT]),
            )
            last = await _one_by_one(here, [(row, case) for row, case in rows if case in LAST])
            table = [*itertools.chain(*found), *last]
            if not all(row["passed"] for row in table):
                shutil.copytree(
                    ground.folder, LOGS, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.json")
                )
                print(f"logs are in {LOGS}")
            return table


async def _side_by_side(world: object, rows: Sequence[tuple[int, Case]]) -> list[dict[str, Any]]:
    free = asyncio.Semaphore(SIDE_BY_SIDE)

    async def in_turn(case: Case, row: int) -> dict[str, Any]:
        async with free:
            return await tried(world, case, row)

    return list(await asyncio.gather(*(in_turn(case, row) for row, case in rows)))


async def _one_by_one(world: object, rows: Sequence[tuple[int, Case]]) -> list[dict[str, Any]]:
    return [await tried(world, case, row) for row, case in rows]


_COLUMNS = {
    "fault": 6, "point": 42, "runs": 5, "lost": 5, "doubled": 8, "disordered": 11, "seeded_bug_caught": 18,
    "seconds": 8, "passed": 6,
}  # fmt: skip


def _line(row: dict[str, Any]) -> str:
    return " ".join(str(row[name]).ljust(width) for name, width in _COLUMNS.items())


def main(words: Sequence[str]) -> int:
    """Try, print, write."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    print(f"seed {SEED}")
    rows = asyncio.run(all_tried(words))
    print()
    print(_line({name: name for name in _COLUMNS}))
    for row in rows:
        print(_line(row))
    failed = [row for row in rows if not row["passed"]]
    print(f"\n{len(rows) - len(failed)} of {len(rows)} passed in {time.monotonic() - began:.0f} s")
    if words:
        print(f"{REPORT} is left as it was: these were not all rows")
        return 1 if failed or not rows else 0
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
