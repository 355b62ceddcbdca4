"""A registrar with a unit of his own, and the worker's part: the jobs of rosters, run when a test says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from membership_service.rosters.columns import Cell
from membership_service.rosters.jobs import EXPIRE, EXPIRE_EVERY, RosterJobs
from membership_service.rosters.use_cases import APPLY, CHECK, UNDO
from membership_service.settings import Settings
from shared.database.engine import Database
from shared.jobs import JobRunner
from shared.security.keys import KeyRing
from shared.testing.waiting import eventually
from tests.support.membership import Federation
from tests.support.rosters import HEADINGS, comma_separated, resident_id, row_of


@dataclass
class Registry:
    """What a registrar does with rosters of one unit."""

    federation: Federation
    unit: dict[str, Any]
    registrar: str
    jobs: RosterJobs

    async def call(self, method: str, path: str, *, expect: int = 200, **request: Any) -> Any:
        """A request of the registrar."""
        return await self.federation.call(
            method, f"/rosters{path}", by=request.pop("by", self.registrar), expect=expect, **request
        )

    async def upload(self, content: bytes, *, name: str = "名册.csv", mode: str = "add") -> dict[str, Any]:
        """Upload and check."""
        roster = await self.call(
            "POST",
            "",
            expect=202,
            files={"file": (name, content)},
            data={"organisation_id": self.unit["id"], "mode": mode},
        )
        await self.work()
        checked: dict[str, Any] = await self.call("GET", f"/{roster['id']}")
        return checked

    async def upload_rows(self, *rows: Sequence[Cell]) -> dict[str, Any]:
        """Upload these rows under the usual headings."""
        return await self.upload(comma_separated([HEADINGS, *rows]))

    async def step(
        self, roster: dict[str, Any], path: str, *, expect: int = 202, **request: Any
    ) -> dict[str, Any]:
        """Ask for a step of the import as it stands now."""
        now = await self.call("GET", f"/{roster['id']}")
        reply: dict[str, Any] = await self.call(
            "POST", f"/{roster['id']}/{path}", expect=expect, version=now["version"], **request
        )
        return reply

    async def apply(self, roster: dict[str, Any], **body: Any) -> dict[str, Any]:
        """Apply to the end."""
        await self.step(roster, "apply", json=body)
        await self.work()
        applied: dict[str, Any] = await self.call("GET", f"/{roster['id']}")
        return applied

    async def undo(self, roster: dict[str, Any]) -> dict[str, Any]:
        """Undo to the end."""
        await self.step(roster, "undo", json={"reason": "上传错了"})
        await self.work()
        undone: dict[str, Any] = await self.call("GET", f"/{roster['id']}")
        return undone

    async def problems(self, roster: dict[str, Any], **request: Any) -> list[dict[str, Any]]:
        """All rows with problems."""
        page = await self.call("GET", f"/{roster['id']}/problems?limit=200", **request)
        items: list[dict[str, Any]] = page["items"]
        return items

    async def work(self) -> None:
        """Let the worker do what waits."""
        handlers = {CHECK: self.jobs.check, APPLY: self.jobs.apply, UNDO: self.jobs.undo}
        await self._run(JobRunner(self.jobs.database, handlers), self._idle)

    async def expire(self) -> None:
        """Let the worker look for what is past its term."""
        await self.federation.rows("UPDATE jobs SET run_after = now() WHERE kind = $1", EXPIRE)
        runner = JobRunner(self.jobs.database, {EXPIRE: self.jobs.expire}, every={EXPIRE: EXPIRE_EVERY})
        await self._run(runner, partial(self.federation.has_run, EXPIRE))

    async def _run(self, runner: JobRunner, done: Callable[[], Awaitable[bool]]) -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(runner.run(stop))
        try:
            await eventually(done, timeout=20)
        finally:
            stop.set()
            await running

    async def _idle(self) -> bool:
        sql = (
            "SELECT FROM jobs WHERE kind LIKE 'roster.%' AND NOT periodic AND state IN ('waiting', 'running')"
        )
        return not await self.federation.rows(sql)


@pytest.fixture
async def registry(federation: Federation, settings: Settings, keys_file: Path) -> AsyncIterator[Registry]:
    unit = await federation.unit()
    registrar = await federation.user("registrar", unit["id"])
    database = Database(settings.worker_database_url, pool_size=4, application_name="test-worker")
    jobs = RosterJobs(database, KeyRing.load(keys_file), keys_file, federation.clock)
    yield Registry(federation, unit, registrar, jobs)
    await database.close()


def totals(roster: dict[str, Any]) -> tuple[int, int, int, int]:
    """Created, updated, unchanged, rejected."""
    counted = ("created", "updated", "unchanged", "rejected", "remaining")
    assert roster["rows"] == sum(roster[name] for name in counted)
    return roster["created"], roster["updated"], roster["unchanged"], roster["rejected"]


_serial = count(1)


def somebody(**cells: Cell) -> list[Cell]:
    """A good row of a person who stands in no other test."""
    serial = next(_serial)
    number = resident_id(serial % 400, region=f"98{serial // 400:04d}")
    return row_of(**{"证件号码": number, "手机号": f"135{serial:08d}", **cells})


async def members_of(registry: Registry) -> list[dict[str, Any]]:
    sql = "SELECT * FROM members WHERE organisation_id = $1 ORDER BY member_number"
    return [dict(row) for row in await registry.federation.rows(sql, UUID(registry.unit["id"]))]
