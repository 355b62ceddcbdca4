"""What the worker does to members unseen: their keys are rewrapped, old counts of what is capped by day are thrown away."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from membership_service import worker
from membership_service.app import build
from membership_service.members.jobs import FORGET_USES, USES_KEPT
from membership_service.settings import Settings
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.jobs import JobRunner, job_status, submit
from shared.security.acting import By
from shared.security.rotation import ROTATION_JOB, keys_in_use
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from shared.testing.waiting import eventually
from tests.integration.membership.members.people import admitted, number, registrars
from tests.support.membership import Federation, bootstrap
from tests.support.tokens import Issuer


@asynccontextmanager
async def office(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings.worker_database_url, pool_size=3, application_name="test-worker")
    try:
        yield database
    finally:
        await database.close()


async def run_once(settings: Settings, database: Database, clock: StoppedClock, kind: str) -> None:
    """Run one job as the worker has it, once, to its end."""
    setup = worker.build(settings, clock=clock)
    assert isinstance(setup.jobs, JobRunner)
    handler = setup.jobs._handlers[kind]
    stop = asyncio.Event()
    running = asyncio.create_task(JobRunner(database, {kind: handler}).run(stop))
    job_id = await submit(database, kind, {})

    async def is_done() -> bool:
        async with database.read(Scope.everything()) as session:
            status = await job_status(session, job_id)
            return status is not None and status.state == "done"

    try:
        await eventually(is_done, timeout=20)
    finally:
        stop.set()
        await running
        for close in setup.on_stop:
            await close()


@asynccontextmanager
async def federation_of(
    settings: Settings, issuer: Issuer, urls: DatabaseUrls, root_id: UUID, clock: StoppedClock
) -> AsyncIterator[Federation]:
    app = build(settings, clock=clock, key_source=issuer)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://membership.test") as client,
    ):
        yield Federation(client, issuer, urls, str(root_id), clock)


def with_fresh_key(file: Path) -> tuple[dict[str, Any], str]:
    """The ring of a file and a further field key "fresh"; the name of the current one."""
    keys = json.loads(file.read_text())
    keys["field"]["keys"]["fresh"] = base64.b64encode(secrets.token_bytes(32)).decode()
    return keys, keys["field"]["current"]


def ring_file(folder: Path, keys: dict[str, Any], *names: str) -> Path:
    """A key ring with these field keys, the last one current."""
    made = {name: keys["field"]["keys"][name] for name in names}
    file = folder / f"{'-'.join(names)}.json"
    file.write_text(json.dumps(keys | {"field": {"current": names[-1], "keys": made}}))
    file.chmod(0o600)
    return file


@pytest.mark.timeout(60)
async def test_after_a_rotation_the_old_key_may_go(
    make_database: DatabaseFactory,
    settings: Settings,
    keys_file: Path,
    issuer: Issuer,
    clock: StoppedClock,
    tmp_path: Path,
) -> None:
    urls = make_database("membership")
    root_id = await bootstrap(urls, StoppedClock())
    own = {"database_url": urls.app, "worker_database_url": urls.worker}
    settings = settings.model_copy(update=own)
    document = number()
    async with federation_of(settings, issuer, urls, root_id, clock) as federation:
        unit = (await federation.unit())["id"]
        pair = await registrars(federation, unit)
        member = await admitted(federation, unit, pair, document_number=document)

    keys, old = with_fresh_key(keys_file)
    both = settings.model_copy(update={"keys_file": ring_file(tmp_path, keys, old, "fresh")})
    async with office(both) as database:
        assert await in_use(database) == {old}
        await run_once(both, database, clock, ROTATION_JOB)
        assert await in_use(database) == {"fresh"}

    alone = settings.model_copy(update={"keys_file": ring_file(tmp_path, keys, "fresh")})
    async with federation_of(alone, issuer, urls, root_id, clock) as federation:
        shown = await federation.call(
            "POST", f"/members/{member}/unmasking", by=pair[0], json={"reason": "核对证件"}
        )
    assert shown["document_number"] == document


async def in_use(database: Database) -> set[str]:
    async with database.read(Scope.everything()) as session:
        return {name for place in worker.WRAPPED_KEYS for name in await keys_in_use(session, place)}


async def test_counts_of_long_ago_are_thrown_away_and_todays_stay(
    federation: Federation, settings: Settings, clock: StoppedClock
) -> None:
    today = By("system", "test", clock.now()).today
    owner = await asyncpg.connect(federation.urls.owner)
    try:
        for subject, day in (
            ("new", today),
            ("kept", today - USES_KEPT),
            ("old", today - USES_KEPT - timedelta(1)),
        ):
            await owner.execute(
                "INSERT INTO daily_uses VALUES ('made-up', $1, 'unmask', $2, 1)", subject, day
            )
        async with office(settings) as database:
            await run_once(settings, database, clock, FORGET_USES)
        left = await owner.fetch("SELECT subject FROM daily_uses WHERE issuer = 'made-up'")
    finally:
        await owner.execute("DELETE FROM daily_uses WHERE issuer = 'made-up'")
        await owner.close()
    assert {row["subject"] for row in left} == {"new", "kept"}
