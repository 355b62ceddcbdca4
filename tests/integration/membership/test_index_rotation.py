"""The key of the blind indexes is changed while people are looked for, enter, and stand in rosters; the job dies half-way."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from membership_service.index_rotation import jobs, repository
from membership_service.rosters.jobs import RosterJobs
from membership_service.settings import Settings
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.database.session import WriteSession
from shared.security.keys import KeyRing
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from tests.integration.membership.members.people import admitted, person, registrars
from tests.integration.membership.members.test_keys_and_counts import federation_of
from tests.integration.membership.rosters.conftest import Registry, somebody, totals
from tests.support.membership import Federation, bootstrap
from tests.support.tokens import Issuer

pytestmark = pytest.mark.timeout(60)


class Killed(Exception):
    """Stands for the end of the process."""


class Job:
    """As shared.jobs has it: transactions committed with the progress; dies before the commit of a given chunk."""

    def __init__(self, database: Database, stored: dict[str, Any], dies_in: int = 0) -> None:
        self.database, self.stored, self.dies_in = database, stored, dies_in
        self.progress = json.loads(json.dumps(stored))
        self.chunks = 0

    @asynccontextmanager
    async def chunk(self) -> AsyncIterator[WriteSession]:
        async with self.database.write(Scope.everything()) as session:
            yield session
            self.chunks += 1
            if self.chunks == self.dies_in:
                raise Killed
            await session.commit()
        self.stored.clear()
        self.stored.update(json.loads(json.dumps(self.progress)))


class Office:
    """A federation of its own whose processes are restarted with other rings."""

    def __init__(
        self, settings: Settings, issuer: Issuer, urls: DatabaseUrls, root: UUID, files: Path
    ) -> None:
        self.settings, self.issuer, self.urls, self.root = settings, issuer, urls, root
        self.files = files
        self.clock = StoppedClock()
        self.keys = json.loads(settings.keys_file.read_text())
        self.keys["index"]["keys"]["fresh"] = base64.b64encode(secrets.token_bytes(32)).decode()
        self.old = self.keys["index"]["current"]

    def with_keys(self, *names: str) -> Settings:
        """Settings with these index keys, the last one current."""
        made = {name: self.keys["index"]["keys"][name] for name in names}
        file = self.files / f"{'-'.join(names)}.json"
        file.write_text(json.dumps(self.keys | {"index": {"current": names[-1], "keys": made}}))
        file.chmod(0o600)
        return self.settings.model_copy(update={"keys_file": file})

    @asynccontextmanager
    async def open(self, *names: str) -> AsyncIterator[Registry]:
        """The HTTP process and the worker with these index keys; a registrar at a unit."""
        settings = self.with_keys(*names)
        database = Database(settings.worker_database_url, pool_size=4, application_name="test-worker")
        roster_jobs = RosterJobs(database, KeyRing.load(settings.keys_file), settings.keys_file, self.clock)
        try:
            async with federation_of(settings, self.issuer, self.urls, self.root, self.clock) as federation:
                yield Registry(federation, {}, "", roster_jobs)
        finally:
            await database.close()


@pytest.fixture
async def office(
    make_database: DatabaseFactory, settings: Settings, issuer: Issuer, tmp_path: Path
) -> Office:
    urls = make_database("membership")
    root = await bootstrap(urls, StoppedClock())
    own = {"database_url": urls.app, "worker_database_url": urls.worker}
    return Office(settings.model_copy(update=own), issuer, urls, root, tmp_path)


async def reindex(registry: Registry, stored: dict[str, Any], dies_in: int = 0) -> None:
    """Let the job run as the worker has it."""
    handler = jobs.reindex_handler(registry.jobs.ring, registry.federation.clock)
    await handler(Job(registry.jobs.database, stored, dies_in))  # type: ignore[arg-type]


async def all_are_found(federation: Federation, people: list[dict[str, Any]], by: str) -> None:
    """By phone, by the last four of the document, and when somebody enters them again."""
    for one in people:
        for body in ({"phone": one["phone"]}, {"last_four": one["document_number"][-4:]}):
            found = await federation.call("POST", "/members/search", by=by, json=body)
            assert one["id"] in {item["id"] for item in found["items"]}
        body = {name: one[name] for name in ("name", "document_number", "phone", "organisation_id")}
        taken = await federation.call("POST", "/members/applications", by=by, json=body, expect=409)
        assert taken["code"] == "member-exists"


async def rows_by_id(federation: Federation) -> dict[UUID, dict[str, Any]]:
    """All members as they are stored."""
    return {row["id"]: dict(row) for row in await federation.rows("SELECT * FROM members")}


async def is_pending(registry: Registry) -> bool:
    """Whether rosters have to wait."""
    async with registry.jobs.database.read(Scope.everything()) as session:
        return await repository.is_pending(session, registry.jobs.ring)


async def test_people_are_found_before_during_and_after_a_rotation_that_dies_half_way(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 2)
    stored: dict[str, Any] = {}
    people = []
    async with office.open(office.old) as registry:
        federation = registry.federation
        unit = (await federation.unit())["id"]
        pair = await registrars(federation, unit)
        for _ in range(5):
            body = person()
            member = await admitted(federation, unit, pair, **body)
            people.append(body | {"id": member, "organisation_id": unit})
        before = await rows_by_id(federation)
    async with office.open(office.old, "fresh") as registry:
        federation = registry.federation
        await all_are_found(federation, people, pair[0])
        with pytest.raises(Killed):
            await reindex(registry, stored, dies_in=2)
        assert (stored["place"], stored["changed"]) == ("members", 2)
        await all_are_found(federation, people, pair[0])
        assert await is_pending(registry)
        await reindex(registry, stored)
        assert (stored["place"], stored["changed"], stored["twice"]) == ("done", 5, [])
        assert not await is_pending(registry)
        await all_are_found(federation, people, pair[0])
        await reindex(registry, stored)
        assert stored["changed"] == 0
    async with office.open("fresh") as registry:
        await all_are_found(registry.federation, people, pair[0])
        after = await rows_by_id(registry.federation)
    blinds = {"document_blind", "last4_blind", "phone_blind"}
    for id_, was in before.items():
        assert all(after[id_][name] != was[name] for name in blinds)
        assert {name for name in was if after[id_][name] != was[name]} == blinds


async def test_staged_rows_and_what_an_undo_brings_back_are_rotated_too(office: Office) -> None:
    row, first = somebody(), somebody(姓名="王五", 手机号="13700000001")
    second = [*first]
    second[3] = "13700000002"
    async with office.open(office.old) as registry:
        unit = (await registry.federation.unit())["id"]
        registrar = await registry.federation.user("registrar", unit)
        registry.unit, registry.registrar = {"id": unit}, registrar
        staged = await registry.upload_rows(row)
        assert totals(staged) == (1, 0, 0, 0)
        await registry.apply(await registry.upload_rows(first))
        changed = await registry.apply(await registry.upload_rows(second))
        assert totals(changed) == (0, 1, 0, 0)
    async with office.open(office.old, "fresh") as registry:
        await reindex(registry, {})
    async with office.open("fresh") as registry:
        registry.unit, registry.registrar = {"id": unit}, registrar
        assert totals(await registry.apply(staged)) == (1, 0, 0, 0)
        assert totals(await registry.upload_rows(row)) == (0, 0, 1, 0)
        await registry.undo(changed)
        body = {"phone": "13700000001"}
        found = await registry.federation.call("POST", "/members/search", by=registrar, json=body)
        assert [item["name"] for item in found["items"]] == ["王五"]


async def test_a_roster_waits_until_the_rotation_is_done(office: Office) -> None:
    async with office.open(office.old) as registry:
        unit = (await registry.federation.unit())["id"]
        registrar = await registry.federation.user("registrar", unit)
        registry.unit, registry.registrar = {"id": unit}, registrar
        row = somebody()
        await registry.apply(await registry.upload_rows(row))
    async with office.open(office.old, "fresh") as registry:
        registry.unit, registry.registrar = {"id": unit}, registrar
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(
                jobs.wait_until_indexed(registry.jobs.database, registry.jobs.ring), timeout=0.2
            )
        await reindex(registry, {})
        assert totals(await registry.upload_rows(row)) == (0, 0, 1, 0)


async def test_who_was_entered_under_both_keys_is_named_and_left(office: Office) -> None:
    """Two processes that were restarted at different times, the same person in that moment: the one gap of a rotation."""
    body = person()
    async with office.open(office.old) as registry:
        unit = (await registry.federation.unit())["id"]
        pair = await registrars(registry.federation, unit)
        first = await admitted(registry.federation, unit, pair, **body)
    async with office.open("fresh") as registry:
        await admitted(registry.federation, unit, pair, **body)
    stored: dict[str, Any] = {}
    async with office.open(office.old, "fresh") as registry:
        await reindex(registry, stored)
    assert stored["twice"] == [first]


async def test_a_document_cannot_be_changed_to_one_under_the_older_key(office: Office) -> None:
    one, other = person(), person()
    async with office.open(office.old) as registry:
        unit = (await registry.federation.unit())["id"]
        pair = await registrars(registry.federation, unit)
        await admitted(registry.federation, unit, pair, **one)
        second = await admitted(registry.federation, unit, pair, **other)
    async with office.open(office.old, "fresh") as registry:
        body = {"document_number": one["document_number"]}
        taken = await registry.federation.call(
            "PATCH", f"/members/{second}", by=pair[0], version=2, json=body, expect=409
        )
        assert taken["code"] == "member-exists"
        await registry.federation.call(
            "PATCH", f"/members/{second}", by=pair[0], version=2, json={"name": "李四"}
        )
