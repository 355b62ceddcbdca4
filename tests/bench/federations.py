"""A membership service, and if need be a gateway, as real processes with a small tree and users."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from local_stack.processes import ChildProcess
from shared.database.provision import DatabaseUrls
from shared.testing.clock import StoppedClock
from tests.bench.ground import Ground, address
from tests.support.membership import Federation, bootstrap

#: Seconds that an import of a million rows may take.
_PATIENCE = 1_800.0


@dataclass
class Membership:
    """A running membership service."""

    federation: Federation
    urls: DatabaseUrls
    environment: dict[str, str]
    http: ChildProcess
    worker: ChildProcess

    async def import_roster(self, registrar: str, organisation_id: str, file: Path) -> dict[str, float]:
        """Upload, check and apply a roster as a registrar does. Seconds of each step; raises if a row was rejected."""
        call = self.federation.call
        marks = [time.perf_counter()]
        with file.open("rb") as content:
            roster = await call(
                "POST",
                "/rosters",
                by=registrar,
                expect=202,
                files={"file": (file.name, content)},
                data={"organisation_id": organisation_id},
            )
        marks.append(time.perf_counter())
        checked = await self._until(registrar, roster["id"], "checked")
        marks.append(time.perf_counter())
        if checked["rejected"] or not checked["created"]:
            raise RuntimeError(f"the roster was not taken as it is: {checked}")
        apply = f"/rosters/{roster['id']}/apply"
        await call("POST", apply, by=registrar, expect=202, version=checked["version"], json={})
        await self._until(registrar, roster["id"], "applied")
        marks.append(time.perf_counter())
        steps = zip(("upload", "check", "apply"), marks, marks[1:], strict=False)
        return {name: end - begin for name, begin, end in steps}

    async def _until(self, registrar: str, roster_id: str, state: str) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            roster: dict[str, Any] = await self.federation.call("GET", f"/rosters/{roster_id}", by=registrar)
            if roster["state"] == state:
                return roster
            if roster["state"] in {"refused", "cancelled"} or roster["given_up"]:
                raise RuntimeError(f"the import ended as {roster}")
            await asyncio.sleep(0.1)
        raise TimeoutError(f"the import was not {state} in time")


@asynccontextmanager
async def membership(
    ground: Ground, run: str, module: str = "membership_service.app"
) -> AsyncIterator[Membership]:
    """Start one on a fresh database; `run` names the parts of its worker. Stopped at the end."""
    urls = ground.databases("membership")
    environment = ground.environment("membership", urls)
    now = datetime.now(UTC)
    root_id = await bootstrap(urls, StoppedClock(now - timedelta(days=730)))
    http = await asyncio.to_thread(ground.http, module, environment)
    worker = await asyncio.to_thread(ground.worker, "membership", environment, run)
    try:
        async with httpx.AsyncClient(base_url=address(environment), trust_env=False, timeout=600) as client:
            federation = Federation(client, ground.issuer, urls, str(root_id), StoppedClock(now))
            yield Membership(federation, urls, environment, http, worker)
    finally:
        await asyncio.to_thread(worker.stop)
        await asyncio.to_thread(http.stop)


def superuser(ground: Ground, urls: DatabaseUrls) -> str:
    """The superuser's URL of a service's database."""
    return f"{ground.postgres_url.rpartition('/')[0]}/{urls.owner.rpartition('/')[2]}"


async def until(probe: Callable[[], Any], seconds: float) -> None:
    """Wait until an async probe gives something true."""
    deadline = time.monotonic() + seconds
    while not await probe():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come about in time")
        await asyncio.sleep(0.2)


async def value(url: str, sql: str, *arguments: Any) -> Any:
    """One value of a database."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql, *arguments)
    finally:
        await connection.close()
