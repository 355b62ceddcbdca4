"""What the worker does by itself with dossiers, over real rows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import WriteSession
from shared.security.keys import KeyRing, new_ring_json
from tests.support.dossiers import Office, passport, person
from tests.support.welfare import committed
from welfare_service.dossiers import jobs, sealing
from welfare_service.dossiers.kinds import DocumentType
from welfare_service.settings import Settings


class Job:
    """A `JobContext` as far as these handlers go."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def chunk(self) -> AsyncIterator[WriteSession]:
        async with committed(self._database, Scope.everything()) as session:
            yield session


async def test_blind_indexes_follow_the_current_key_and_a_second_run_changes_nothing(
    office: Office, settings: Settings, worker_database: Database
) -> None:
    number = "ED" + passport()
    made = await office.draft(head=person(document_number=number))
    await office.step(made, "/persons", json=person("child"), expect=201)
    original = KeyRing.load(settings.keys_file)
    old = orjson.loads(settings.keys_file.read_bytes())
    fresh = orjson.loads(new_ring_json())["index"]["keys"]["i1"]
    path = settings.keys_file.with_name("reindexed.json")
    keys = old["index"]["keys"] | {"i2": fresh}
    path.write_bytes(orjson.dumps(old | {"index": {"current": "i2", "keys": keys}}))
    path.chmod(0o600)
    ring, job = KeyRing.load(path), Job(worker_database)

    async def indexes() -> list[Any]:
        query = "SELECT document_blind, last4_blind FROM dossier_persons WHERE dossier_id = $1 ORDER BY id"
        return [tuple(row) for row in await office.welfare.rows(query, UUID(made["id"]))]

    before = await indexes()
    await jobs.reindex(original)(job)  # type: ignore[arg-type]
    assert await indexes() == before
    await jobs.reindex(ring)(job)  # type: ignore[arg-type]
    after = await indexes()
    assert after[0] == (
        sealing.document_blind(ring, DocumentType.PASSPORT, number),
        sealing.last4_blind(ring, number),
    )
    assert not set(after) & set(before)
    await jobs.reindex(ring)(job)  # type: ignore[arg-type]
    assert await indexes() == after
    # Back, for the other tests of this database.
    turned = {"current": "i1", "keys": keys}
    path.write_bytes(orjson.dumps(old | {"index": turned}))
    await jobs.reindex(KeyRing.load(path))(job)  # type: ignore[arg-type]
    assert await indexes() == before


async def test_a_year_later_the_job_asks_once_and_counts_of_last_month_are_gone(
    office: Office, worker_database: Database
) -> None:
    made = await office.draft()
    await office.decided(made)
    reason = {"reason": "核对"}
    await office.welfare.call("POST", f"/dossiers/{made['id']}/unmasking", by=office.officer, json=reason)
    query = "SELECT uses FROM daily_uses WHERE subject = $1"
    job, clock = Job(worker_database), office.welfare.clock
    await jobs.forget_uses(clock)(job)  # type: ignore[arg-type]
    assert len(await office.welfare.rows(query, office.officer)) == 1
    clock.advance(timedelta(days=365))
    for _ in range(2):
        await jobs.recheck(clock)(job)  # type: ignore[arg-type]
        await jobs.forget_uses(clock)(job)  # type: ignore[arg-type]
    path = f"/dossiers/{made['id']}/reviews"
    [review] = (await office.welfare.call("GET", path, by=office.officer))["items"]
    assert (review["kind"], review["reason"]) == ("yearly", "year-over")
    assert await office.welfare.rows(query, office.officer) == []
