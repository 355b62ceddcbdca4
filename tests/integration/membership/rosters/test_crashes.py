"""Kill the worker, or the child that reads the file: the import goes on and every person is there once."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psutil
import pytest

from membership_service.rosters.columns import Cell
from membership_service.rosters.jobs import EXPIRE
from membership_service.settings import Settings
from shared.database.provision import DatabaseUrls
from shared.kernel.crash import EXIT_CODE, VARIABLE
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from shared.testing.waiting import eventually
from tests.integration.membership.rosters.conftest import Registry, totals
from tests.support.membership import bootstrap
from tests.support.rosters import HEADINGS, comma_separated, resident_id, row_of

#: Two chunks.
ROWS = 10_500
_regions = iter(range(1000, 9999, 100))

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
async def founded(make_database: DatabaseFactory) -> tuple[DatabaseUrls, UUID]:
    """A database of these tests alone: so many members would slow others down, and a real worker has the real time."""
    urls = make_database("membership")
    return urls, await bootstrap(urls, StoppedClock())


def everybody() -> Iterator[list[Cell]]:
    """Good rows of people who stand in no other test."""
    region = next(_regions)
    for serial in range(ROWS):
        born = f"19{60 + serial // 400 % 30}0307"
        number = resident_id(serial % 400, born=born, region=f"97{region + serial // 12_000:04d}")
        yield row_of(证件号码=number, 手机号="")


async def uploaded(registry: Registry) -> dict[str, Any]:
    """An upload that nobody checked yet."""
    files = {"file": ("r.csv", comma_separated([HEADINGS, *everybody()]))}
    data = {"organisation_id": registry.unit["id"]}
    # A real worker has the real time, after which these uploads are long past their term.
    later = """
        INSERT INTO jobs (id, kind, periodic, run_after) VALUES (uuidv7(), $1, true, now() + interval '1 day')
        ON CONFLICT (kind) WHERE periodic DO UPDATE SET run_after = excluded.run_after
    """
    await registry.federation.rows(later, EXPIRE)
    roster: dict[str, Any] = await registry.call("POST", "", expect=202, files=files, data=data)
    return roster


@asynccontextmanager
async def worker(settings: Settings, crash_point: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    """A real worker process that runs jobs."""
    environment = os.environ | {
        "UNIONHALL_WORKER_DATABASE_URL": settings.worker_database_url,
        "UNIONHALL_KAFKA_BOOTSTRAP": "127.0.0.1:9",
        "UNIONHALL_KEYS_FILE": str(settings.keys_file),
        "UNIONHALL_WORKER_PORT": "0",
        VARIABLE: crash_point,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "membership_service.worker",
        "--run",
        "jobs",
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def dies(settings: Settings, crash_point: str) -> None:
    """Run a worker until it dies where it was told to."""
    async with worker(settings, crash_point) as process:
        assert await asyncio.wait_for(process.wait(), 60) == EXIT_CODE


async def goes_on(registry: Registry, roster: dict[str, Any], state: str) -> dict[str, Any]:
    """Let the next worker come, without waiting for the dead one's lease to end."""
    await registry.federation.rows(
        "UPDATE jobs SET leased_until = now() - interval '1 s' WHERE state = 'running'"
    )
    await registry.work()
    now: dict[str, Any] = await registry.call("GET", f"/{roster['id']}")
    assert now["state"] == state
    return now


async def counts(registry: Registry) -> tuple[int, int, int, int]:
    """Members of the unit, affiliations, history entries and events of theirs."""
    sql = """
        WITH theirs AS (SELECT id FROM members WHERE organisation_id = $1)
        SELECT (SELECT count(*) FROM theirs), (SELECT count(*) FROM affiliations WHERE member_id IN (SELECT id FROM theirs)),
            (SELECT count(*) FROM member_history WHERE member_id IN (SELECT id FROM theirs)),
            (SELECT count(*) FROM outbox WHERE key IN (SELECT id FROM theirs))
    """
    row = (await registry.federation.rows(sql, UUID(registry.unit["id"])))[0]
    return row[0], row[1], row[2], row[3]


@pytest.mark.parametrize("point", ["job.mid_chunk:2", "roster.after_staging"])
async def test_a_worker_killed_while_checking(registry: Registry, settings: Settings, point: str) -> None:
    roster = await uploaded(registry)
    await dies(settings, point)
    checked = await goes_on(registry, roster, "checked")
    assert totals(checked) == (ROWS, 0, 0, 0)
    warnings = {warning["code"]: warning["count"] for warning in checked["warnings"]}
    assert warnings == {"document-region-unknown": ROWS}


@pytest.mark.parametrize("point", ["job.mid_chunk", "roster.mid_apply", "roster.before_done"])
async def test_a_worker_killed_while_applying(registry: Registry, settings: Settings, point: str) -> None:
    roster = await uploaded(registry)
    await registry.work()
    await registry.step(roster, "apply", json={})
    await dies(settings, point)
    applied = await goes_on(registry, roster, "applied")
    assert totals(applied) == (ROWS, 0, 0, 0)
    assert await counts(registry) == (ROWS, ROWS, ROWS, ROWS)


async def test_a_child_killed_while_reading(registry: Registry, settings: Settings) -> None:
    roster = await uploaded(registry)
    async with worker(settings) as process:

        async def child() -> psutil.Process | None:
            children = psutil.Process(process.pid).children()
            return children[0] if children else None

        reader = await eventually(child, timeout=30)
        assert reader is not None
        reader.kill()

        async def checked() -> bool:
            return bool((await registry.call("GET", f"/{roster['id']}"))["state"] == "checked")

        await eventually(checked, timeout=60)
    assert totals(await registry.call("GET", f"/{roster['id']}")) == (ROWS, 0, 0, 0)
