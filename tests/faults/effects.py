"""F2, F3, F13 on the product: what happens elsewhere because a member leaves, while workers die and events come twice or late."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared.contracts.envelope import SEQUENCE_DIGITS
from shared.contracts.membership import MEMBERS, MemberWithdrawn
from shared.kernel.ids import new_id
from shared.testing.waiting import eventually
from tests.faults.cases import Attempt, Case
from tests.faults.installation import OWNERS, Installation
from tests.faults.ledger import Found
from tests.faults.office import Office, opened_office
from tests.support.membership import ROOT_ADMIN
from tests.support.tokens import ISSUER

#: Members who leave: half of them before the worker is dead, half after.
LEAVERS = 8
RELAY = ("relay.before_send", "relay.after_send", "relay.before_progress")
CONSUMER = ("consumer.before_database", "consumer.mid_batch", "consumer.after_database")
Record = tuple[bytes, bytes | None, Sequence[tuple[str, bytes]]]


@dataclass
class Leaving:
    """Members with a running case and a seat that somebody else waits for."""

    here: Installation
    office: Office
    members: list[dict[str, Any]] = field(default_factory=list)
    cases: list[dict[str, Any]] = field(default_factory=list)
    seats: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    #: The newest version of each of these members at membership.
    versions: dict[str, int] = field(default_factory=dict)

    async def prepare(self, how_many: int) -> None:
        """Everybody takes the seat of an activity for one; the same person waits for all of them."""
        patient = await self.office.member(1)
        for _ in range(how_many):
            member = await self.office.member(0)
            self.members.append(member)
            self.cases.append(await self.office.case(member))
            activity = await self.office.activity(1)
            self.seats.append((await self.office.register(activity, member))["id"])
            self.waiting.append((await self.office.register(activity, patient))["id"])
        await self.here.current()

    async def leave(self, which: Sequence[int]) -> None:
        """They leave the union."""
        for number in which:
            member = self.members[number]
            gone = await self.office.step(
                "registrar", "members", member, "withdrawal", "withdrawn", reason="离职"
            )
            self.versions[member["id"]] = gone["version"]

    async def found(self) -> Found:
        """One flag, one cancellation, one promotion each; replicas that say what membership says."""
        welfare, events = self.here.databases["welfare"], self.here.databases["events"]
        gone = [number for number, member in enumerate(self.members) if member["id"] in self.versions]
        found = Found()
        for urls, table, key, happening, of in (
            (welfare, "case_history", "case_id", "flagged", [self.cases[one]["id"] for one in gone]),
            (
                events,
                "registration_history",
                "registration_id",
                "cancelled",
                [self.seats[one] for one in gone],
            ),
            (
                events,
                "registration_history",
                "registration_id",
                "promoted",
                [self.waiting[one] for one in gone],
            ),
        ):
            query = f"SELECT {key} FROM {table} WHERE happening = $1 AND {key} = ANY ($2)"
            rows = [row[0] for row in await self.here.rows(urls, query, happening, [UUID(one) for one in of])]
            found.lost += len(of) - len(set(rows))
            found.doubled += len(rows) - len(set(rows))
        query = "SELECT id, sequence FROM directory_members WHERE id = ANY ($1)"
        for urls in (welfare, events):
            rows = await self.here.rows(urls, query, [UUID(one) for one in self.versions])
            held = {str(row["id"]): row["sequence"] for row in rows}
            found.lost += sum(held.get(one, 0) < version for one, version in self.versions.items())
        return found


@asynccontextmanager
async def leaving(here: Installation, how_many: int) -> AsyncIterator[Leaving]:
    """Prepared at an office of their own."""
    async with opened_office(here.user, ROOT_ADMIN, ISSUER, here.root_id) as office:
        those = Leaving(here, office)
        await those.prepare(how_many)
        yield those


async def killed_worker(here: Installation, attempt: Attempt, *, worker: str, points: Sequence[str]) -> Found:
    """A worker of the product dies at each of the points while members leave, and another takes its place."""
    point = points[attempt.number % len(points)]
    broken = await _broken(here)
    async with leaving(here, LEAVERS) as those:
        program = await here.start(worker, crash=f"{point}:1", bug=attempt.bug)
        dying = asyncio.create_task(program.dies())
        await those.leave(range(LEAVERS // 2))
        # A relay of the others has something to send only when somebody asks for it.
        probe = asyncio.create_task(_keep_busy(those.office, dying))
        await dying
        await probe
        await here.start(worker, bug=attempt.bug)
        await here.ready(worker)
        await those.leave(range(LEAVERS // 2, LEAVERS))
        await here.current()
        found = await those.found()
    if attempt.bug:
        await here.start(worker)
        await here.ready(worker)
    found.disordered += len(await _broken(here) - broken)
    found += await _published(here, those.office)
    return found


async def _broken(here: Installation) -> set[str]:
    """What is broken at any owner."""
    return set().union(*await asyncio.gather(*(here.broken(owner) for owner in OWNERS)))


async def _keep_busy(office: Office, dying: asyncio.Task[None]) -> None:
    while not dying.done():
        await office.ask("organiser", "POST", "/activities", json=office.plan(2))
        await office.open_programme(office.budget)
        await asyncio.sleep(0.3)


async def _published(here: Installation, office: Office) -> Found:
    """Every version of this office's own activities and cases is a fact at the gateway, once and in order."""
    found = Found()
    for service, table, key, owners in (
        ("welfare", "case_history", "case_id", "cases"),
        ("welfare", "programme_history", "programme_id", "programmes"),
        ("events", "activity_history", "activity_id", "activities"),
        ("events", "registration_history", "registration_id", "registrations"),
    ):
        query = (
            f"SELECT {key}, h.version FROM {table} h JOIN {owners} o ON o.id = {key}"
            " WHERE o.organisation_id = ANY ($1::uuid[])"
        )
        units = [UUID(office.unit), *[UUID(ward) for ward in office.wards]]
        versions = {(row[0], row[1]) for row in await here.rows(here.databases[service], query, units)}
        rows = await here.rows(
            here.gateway,
            "SELECT subject, sequence FROM facts WHERE subject = ANY ($1::uuid[]) ORDER BY id",
            [one for one, _ in versions],
        )
        told = [(row["subject"], row["sequence"]) for row in rows]
        found.lost += len(versions - set(told))
        newest: dict[UUID, int] = {}
        for subject, sequence in told:
            found.disordered += sequence < newest.get(subject, 0)
            newest[subject] = max(sequence, newest.get(subject, 0))
    return found


async def told_again(here: Installation, attempt: Attempt) -> Found:
    """Everything about these members comes a second and a third time, in any order, after an officer has dealt with it."""
    async with leaving(here, 6) as those:
        await those.leave(range(6))
        await here.current()
        for number, case in enumerate(those.cases):
            now = await those.office.ask("officer", "GET", f"/cases/{case['id']}")
            those.cases[number] = await those.office.step(
                "approver", "cases", now, "unflagging", "submitted", reason="已核实"
            )
        for service in ("welfare", "events"):
            if attempt.bug:
                await here.start(f"{service}-worker", bug=attempt.bug)
                await here.ready(f"{service}-worker")
        records = await _records(here, set(those.versions))
        again = records * 2
        random.Random(attempt.seed).shuffle(again)
        await _publish(here, again)
        await here.current()
        found = await those.found()
        found.expect(len(records) >= 3 * 6, f"only {len(records)} records were there to be repeated")
    for service in ("welfare", "events"):
        if attempt.bug:
            await here.start(f"{service}-worker")
            await here.ready(f"{service}-worker")
    return found


async def told_late(here: Installation, attempt: Attempt) -> Found:
    """A departure is heard of a day late, with a gap of versions before it; what happened before that comes last of all."""
    async with leaving(here, 4) as those:
        for service in ("welfare", "events"):
            if attempt.bug:
                await here.start(f"{service}-worker", bug=attempt.bug)
                await here.ready(f"{service}-worker")
        records = await _records(here, {member["id"] for member in those.members})
        newest = {record[0]: record for record in records}
        gone = []
        for member in those.members:
            key = member["id"].encode()
            those.versions[member["id"]] = member["version"] + 5
            gone.append(_withdrawn(newest[key], member["version"] + 5, datetime.now(UTC) - timedelta(days=1)))
        await _publish(here, gone)
        await here.current()
        # An old state does not bring anybody back.
        await _publish(here, records)
        await here.current()

        async def is_done() -> bool:
            return (await those.found()).is_clean

        with suppress(AssertionError):
            await eventually(is_done, 10, every=0.5)
        found = await those.found()
    for service in ("welfare", "events"):
        if attempt.bug:
            await here.start(f"{service}-worker")
            await here.ready(f"{service}-worker")
    return found


async def _records(here: Installation, subjects: set[str]) -> list[Record]:
    """All records about these members, in the order of their versions."""
    # From the beginning by its settings: a seek may be overtaken by a reset to the end that is under way.
    client = AIOKafkaConsumer(
        bootstrap_servers=here.ground.kafka, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await client.start()
    found: list[Record] = []
    try:
        places = [TopicPartition(MEMBERS.name, number) for number in range(MEMBERS.partitions)]
        client.assign(places)
        ends = await client.end_offsets(places)
        while any([await client.position(place) < ends[place] for place in places]):
            for batch in (await client.getmany(timeout_ms=500)).values():
                found += [
                    (record.key, record.value, record.headers)
                    for record in batch
                    if record.key and record.key.decode() in subjects
                ]
    finally:
        await client.stop()
    return found


def _withdrawn(newest: Record, sequence: int, at: datetime) -> Record:
    """The departure of the member of that record, as a later version, in an event of another day."""
    key, value, headers = newest
    assert value
    data = orjson.loads(value)
    state = data["state"] | {"status": "withdrawn", "left_on": at.date().isoformat()}
    changed = {
        "ce_id": str(new_id()).encode(),
        "ce_type": MemberWithdrawn.type.encode(),
        "ce_time": at.isoformat().encode(),
        "ce_sequence": str(sequence).zfill(SEQUENCE_DIGITS).encode(),
    }
    kept = [(name, changed.get(name, text)) for name, text in headers]
    return key, orjson.dumps({"on": at.date().isoformat(), "undone": False, "state": state}), kept


async def _publish(here: Installation, records: Sequence[Record]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=here.ground.kafka)
    await producer.start()
    try:
        for key, value, headers in records:
            await producer.send_and_wait(MEMBERS.name, key=key, value=value, headers=list(headers))
    finally:
        await producer.stop()


def cases() -> list[Case]:
    """The rows."""
    relays = [
        Case(
            "F2",
            f"relay of {owner}",
            partial(killed_worker, worker=f"{owner}-worker", points=RELAY),
            ("progress-before-send",),
            runs=3,
        )
        for owner in OWNERS
    ]
    consumers = [
        Case(
            "F3",
            f"{owner}.effects",
            partial(killed_worker, worker=f"{owner}-worker", points=CONSUMER),
            ("offset-before-database",),
            runs=3,
        )
        for owner in ("welfare", "events")
    ]
    return [
        *relays,
        *consumers,
        Case("F13", "duplicates, in any order", told_again, ("no-inbox",), runs=1),
        Case("F13", "24 h late, with a gap of versions", told_late, ("inbox-of-an-hour",), runs=1),
    ]
