"""The job that brings every blind index under the ring's current index key. It may die anywhere, and be run again at any time.

As long as the ring holds an older index key it looks through everyone every hour, so that what a process wrote that was restarted
late is found too. Members keep their versions: nothing that anybody sees has changed.
"""

import asyncio
import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from membership_service.index_rotation import repository
from membership_service.members import sealing
from membership_service.members.documents import DocumentType
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import WriteSession
from shared.jobs import JobContext, JobHandler
from shared.kernel.clock import Clock
from shared.security.fields import PersonKey
from shared.security.keys import KeyRing

logger = logging.getLogger(__name__)

REINDEX: Final = "keys.reindex"
REINDEX_EVERY: Final = timedelta(hours=1)
#: Rows looked at in one transaction.
BATCH = 1000
_BEFORE_ALL: Final = str(UUID(int=0))
#: Ids of people who stand there twice that the job's progress names.
_NAMED: Final = 20
_PAUSE: Final = 1.0


def reindex_handler(ring: KeyRing, clock: Clock) -> JobHandler:
    """The handler of REINDEX."""

    async def reindex(job: JobContext) -> None:
        current = ring.current("index")
        if len(ring.names("index")) == 1:
            return
        if job.progress.get("key") != current or job.progress.get("place") == "done":
            job.progress.clear()
            job.progress.update(key=current, place="members", after=_BEFORE_ALL, changed=0, twice=[])
        while job.progress["place"] == "members":
            async with job.chunk() as session:
                await _members(session, ring, job)
        while job.progress["place"] == "rows":
            async with job.chunk() as session:
                await _rows(session, ring, job)
        async with job.chunk() as session:
            await repository.complete(session, current, clock.now())
            job.progress["place"] = "done"
        if job.progress["twice"]:
            logger.error("people entered under two index keys: %s", ", ".join(job.progress["twice"]))

    return reindex


async def wait_until_indexed(database: Database, ring: KeyRing) -> None:
    """What a roster's job awaits before it compares by blind index: nobody is under an older key."""
    while True:
        async with database.read(Scope.everything()) as session:
            if not await repository.is_pending(session, ring):
                return
        await asyncio.sleep(_PAUSE)


async def _members(session: WriteSession, ring: KeyRing, job: JobContext) -> None:
    people = await repository.members_after(session, UUID(job.progress["after"]), BATCH)
    changed = []
    for person in people:
        document, last_four, phone = _blinds(ring, person, person["id"])
        if (document, last_four, phone) != (
            person["document_blind"],
            person["last4_blind"],
            person["phone_blind"],
        ):
            changed.append(
                (person["id"], person["document_blind"], document, last_four, phone, person["phone_sealed"])
            )
    if changed:
        done = set(await repository.replace_members(session, changed))
        twice = [str(one[0]) for one in changed if one[0] not in done and one[1] != one[2]]
        job.progress["changed"] += len(done)
        job.progress["twice"] = [*job.progress["twice"], *twice][:_NAMED]
    if len(people) == BATCH:
        job.progress["after"] = str(people[-1]["id"])
    else:
        job.progress.update(place="rows", after=[_BEFORE_ALL, 0])


async def _rows(session: WriteSession, ring: KeyRing, job: JobContext) -> None:
    import_id, row_number = job.progress["after"]
    rows = await repository.rows_after(session, UUID(import_id), row_number, BATCH)
    changed = []
    for row in rows:
        document, last_four, phone = _blinds(ring, row, row["member_id"])
        previous = _previous_phone(ring, row)
        if document != row["document_blind"] or (previous and previous.hex() != row["previous_blind"]):
            changed.append((row["import_id"], row["row_number"], document, last_four, phone, previous))
    if changed:
        await repository.replace_rows(session, changed)
        job.progress["changed"] += len(changed)
    if len(rows) == BATCH:
        job.progress["after"] = [str(rows[-1]["import_id"]), rows[-1]["row_number"]]
    else:
        job.progress.update(place="end", after=None)


def _blinds(ring: KeyRing, row: asyncpg.Record, sealed_for: UUID) -> tuple[bytes, bytes, bytes | None]:
    """Document, last four and phone of a row under the current key."""
    opened = sealing.unseal(
        ring,
        sealed_for,
        data_key_wrapped=row["data_key_wrapped"],
        key_version=row["key_version"],
        document_sealed=row["document_sealed"],
        phone_sealed=row["phone_sealed"],
        birth_date_sealed=None,
    )
    return (
        sealing.document_blind(ring, DocumentType(row["document_type"]), opened.document_number),
        sealing.last4_blind(ring, opened.document_number),
        sealing.phone_blind(ring, opened.phone) if opened.phone else None,
    )


def _previous_phone(ring: KeyRing, row: asyncpg.Record) -> bytes | None:
    """The index of the phone that an undo of this row would bring back; None when there is none or the person is erased."""
    if row["previous_sealed"] is None or row["member_key"] is None:
        return None
    key = PersonKey.opened(ring, row["member_key"], row["member_key_version"])
    phone = key.unseal(
        row["previous_sealed"], table=sealing.TABLE, column="phone_sealed", record=row["matched_id"]
    )
    return sealing.phone_blind(ring, phone)
