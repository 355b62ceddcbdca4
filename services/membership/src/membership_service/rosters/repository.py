"""Every query of roster imports. What handles thousands of rows at a time is SQL of `comparing` and `statements`."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import and_, delete, func, insert, select

from membership_service.members import sealing
from membership_service.members.repository import use_today
from membership_service.members.tables import members
from membership_service.rosters import comparing, statements
from membership_service.rosters.domain import (
    HINT_DAILY_CAP,
    FileRefused,
    ImportState,
    Mode,
    RosterImport,
)
from membership_service.rosters.staged import STAGED
from membership_service.rosters.tables import (
    roster_file_pieces,
    roster_imports,
    roster_missing,
    roster_problems,
    roster_rows,
)
from shared.database.paths import in_subtree, path_end
from shared.database.session import ReadSession, WriteSession, as_columns, driver
from shared.jobs import JobStatus, job_status
from shared.kernel.errors import NotFound
from shared.security.fields import PersonKey
from shared.security.keys import KeyRing

#: Seconds for a statement over a whole roster of a million rows; the others keep the driver's own limit.
_WHOLE_ROSTER: Final = 300.0
_FORGET_ROWS: Final = 20_000
_MISSING_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A row with problems, as they were staged."""

    row_number: int
    outcome: str
    problems: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of an import: (after, up to] by their numbers."""

    import_id: UUID
    after: int
    up_to: int


def add(session: WriteSession, roster: RosterImport) -> None:
    """Write a new import."""
    session.add(roster)


async def get(session: ReadSession, import_id: UUID) -> RosterImport:
    """The import. Raises NotFound, also for what the caller may not see."""
    return _found(await session.scalar(select(RosterImport).where(roster_imports.c.id == import_id)))


async def get_for_change(session: WriteSession, import_id: UUID) -> RosterImport:
    """The import, locked until the transaction ends: steps of users and chunks of jobs take turns."""
    locked = select(RosterImport).where(roster_imports.c.id == import_id).with_for_update()
    return _found(await session.scalar(locked.execution_options(populate_existing=True)))


async def page(session: ReadSession, path: str, before: UUID | None, limit: int) -> Sequence[RosterImport]:
    """Up to `limit` imports of a subtree with an id below `before`, newest first."""
    found = select(RosterImport).where(in_subtree(roster_imports.c.path, path))
    if before is not None:
        found = found.where(roster_imports.c.id < before)
    return (await session.scalars(found.order_by(roster_imports.c.id.desc()).limit(limit))).all()


async def same_file_before(session: ReadSession, roster: RosterImport) -> UUID | None:
    """An earlier import of the same file for the same unit: a hint, no obstacle."""
    earlier = select(roster_imports.c.id).where(
        roster_imports.c.organisation_id == roster.organisation_id,
        roster_imports.c.file_blind == roster.file_blind,
        roster_imports.c.id < roster.id,
        roster_imports.c.state != ImportState.UNDONE,
    )
    return await session.scalar(earlier.order_by(roster_imports.c.id.desc()).limit(1))


async def add_piece(session: WriteSession, import_id: UUID, position: int, sealed: bytes) -> None:
    """Keep one sealed piece of the file."""
    await session.execute(
        insert(roster_file_pieces).values(import_id=import_id, position=position, sealed=sealed)
    )


async def piece(session: ReadSession, import_id: UUID, position: int) -> bytes | None:
    """One sealed piece; None after the last."""
    one = select(roster_file_pieces.c.sealed).where(
        roster_file_pieces.c.import_id == import_id, roster_file_pieces.c.position == position
    )
    sealed: bytes | None = await session.scalar(one)
    return sealed


async def problem_rows(session: ReadSession, import_id: UUID, after: int, limit: int) -> Sequence[ProblemRow]:
    """Up to `limit` rows with problems and a number above `after`, in the order of the file."""
    rows = (
        select(roster_problems.c.row_number, roster_problems.c.outcome, roster_problems.c.problems)
        .where(roster_problems.c.import_id == import_id, roster_problems.c.row_number > after)
        .order_by(roster_problems.c.row_number)
        .limit(limit)
    )
    return [ProblemRow(row.row_number, row.outcome, row.problems) for row in await session.execute(rows)]


async def stage(
    session: WriteSession, roster: RosterImport, copy_bytes: bytes, last_row: int, today: date
) -> None:
    """Write a chunk that the child checked, and compare it with the members there are. Adds to the counted warnings.

    Raises FileRefused when the file meets too many people who are registered elsewhere.
    """
    connection = await driver(session)
    await connection.copy_to_table("roster_rows", source=_once(copy_bytes), columns=STAGED, format="binary")
    span = (roster.id, roster.last_row, last_row)
    bounds = (roster.path, path_end(roster.path))
    # Fresh rows have no statistics; each has at most one member to find, by a unique index.
    await connection.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
    await connection.execute(comparing.REJECT_UNKNOWN_UNITS, *span, *bounds)
    elsewhere = await connection.fetch(comparing.COMPARE, *span, *bounds, roster.organisation_id)
    await _count_hints(session, roster, elsewhere, today)
    shared_phones = await connection.fetchval(comparing.COUNT_SHARED_PHONES, *span, *bounds)
    if shared_phones:
        roster.warn({"roster-phone-shared": shared_phones})
    roster.last_row = last_row


async def finish_check(session: WriteSession, roster: RosterImport) -> None:
    """Reject who stands in the file twice, and count."""
    connection = await driver(session)
    await connection.execute("SET LOCAL enable_nestloop = off")
    await connection.execute(comparing.REJECT_DUPLICATES, roster.id, timeout=_WHOLE_ROSTER)
    twice = await connection.fetchval(comparing.COUNT_PHONES_TWICE, roster.id, timeout=_WHOLE_ROSTER)
    if twice:
        roster.warn({"roster-phone-shared": twice})
    if roster.mode is Mode.FULL:
        bounds = (roster.path, path_end(roster.path))
        await connection.execute(comparing.FIND_MISSING, roster.id, *bounds, timeout=_WHOLE_ROSTER)
        every = select(func.count()).where(roster_missing.c.import_id == roster.id)
        roster.missing = await session.scalar(every) or 0
    await count(session, roster)


async def count(session: WriteSession, roster: RosterImport) -> None:
    """Set the totals from the rows."""
    connection = await driver(session)
    totals = await connection.fetchrow(comparing.TOTALS, roster.id, timeout=_WHOLE_ROSTER)
    assert totals is not None  # noqa: S101 - an aggregate without GROUP BY has a row
    for name in ("rows", "created", "updated", "unchanged", "rejected"):
        setattr(roster, name, totals[name])


async def next_span(session: WriteSession, roster: RosterImport, rows: int) -> Span | None:
    """The next `rows` rows after the import's position; None when none is left up to its last row."""
    connection = await driver(session)
    up_to = await connection.fetchval(comparing.NEXT_POSITION, roster.id, roster.position, rows)
    if up_to is None or roster.position >= roster.last_row:
        return None
    return Span(roster.id, roster.position, min(up_to, roster.last_row))


async def apply(
    session: WriteSession, roster: RosterImport, span: Span, ring: KeyRing, now: datetime, today: date
) -> None:
    """Admit and change the people of a span, with history and events. Rows that no longer fit become rejected."""
    connection = await driver(session)
    await connection.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
    where = (span.import_id, span.after, span.up_to)
    locked = await connection.fetch(
        statements.LOCK_UNITS, *where, roster.organisation_id, roster.path, path_end(roster.path)
    )
    ids = [unit["id"] for unit in locked]
    default = next((unit["code"] for unit in locked if unit["id"] == roster.organisation_id), None)
    actor = (roster.decided_issuer, roster.decided_subject)
    people = await connection.fetch(statements.LOCK_UPDATED, *where, ids, default)
    if people:
        columns = _resealed(ring, people)
        await connection.execute(statements.UPDATE, roster.id, *columns, now, today, *actor)
    late = [await connection.execute(statements.REJECT_NOT_UPDATED, *where)]
    await connection.execute(statements.CREATE, *where, ids, default, now, today, *actor)
    late.append(await connection.execute(statements.REJECT_NOT_CREATED, *where))
    roster.rejected += sum(int(done.removeprefix("UPDATE ")) for done in late)
    applied = await connection.fetchrow(comparing.APPLIED, *where)
    assert applied is not None  # noqa: S101 - an aggregate without GROUP BY has a row
    for name, rows in applied.items():
        setattr(roster, name, getattr(roster, name) + rows)


async def undo(session: WriteSession, roster: RosterImport, span: Span, now: datetime, today: date) -> None:
    """Take the people of a span back, except those who changed since; counts both."""
    connection = await driver(session)
    await connection.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
    where = (span.import_id, span.after, span.up_to)
    by = (now, today, roster.decided_issuer, roster.decided_subject, roster.reason)
    roster.kept += await connection.fetchval(statements.KEEP_CHANGED, *where)
    roster.undone += await connection.fetchval(statements.UNDO_CREATED, *where, *by)
    roster.undone += await connection.fetchval(statements.UNDO_UPDATED, *where, *by)


async def withdraw_missing(session: WriteSession, roster: RosterImport, now: datetime, today: date) -> bool:
    """Let some of those leave who are missing from a full roster; False when nobody was left to look at."""
    by = (now, today, roster.decided_issuer, roster.decided_subject, roster.reason)
    done = await (await driver(session)).fetchrow(
        statements.WITHDRAW_MISSING, roster.id, _MISSING_AT_ONCE, *by
    )
    assert done is not None  # noqa: S101 - two sub-selects are a row
    roster.withdrawn += done["gone"]
    return bool(done["seen"])


async def readmit_missing(session: WriteSession, roster: RosterImport, now: datetime, today: date) -> bool:
    """Take some of those in again who left by this import; False when nobody was left to look at."""
    by = (now, today, roster.decided_issuer, roster.decided_subject, roster.reason)
    done = await (await driver(session)).fetchrow(
        statements.READMIT_MISSING, roster.id, _MISSING_AT_ONCE, *by
    )
    assert done is not None  # noqa: S101 - two sub-selects are a row
    roster.undone += done["back"]
    roster.kept += done["seen"] - done["back"]
    return bool(done["seen"])


async def missing(session: ReadSession, import_id: UUID, after: UUID | None, limit: int) -> Sequence[Any]:
    """Up to `limit` members missing from a full roster with an id above `after`: id, number, name, organisation, status."""
    sought = roster_missing.c.import_id == import_id
    if after is not None:
        sought = and_(sought, roster_missing.c.member_id > after)
    columns = [members.c[name] for name in ("id", "member_number", "name", "organisation_id", "status")]
    page_ = select(*columns).join(roster_missing, roster_missing.c.member_id == members.c.id).where(sought)
    return (await session.execute(page_.order_by(members.c.id).limit(limit))).all()


async def job_of(session: ReadSession, roster: RosterImport) -> JobStatus | None:
    """The job of the newest step."""
    return await job_status(session, roster.job_id) if roster.job_id else None


async def forget_rows(session: WriteSession, import_id: UUID) -> bool:
    """Delete some staged rows of an import; False when none was left."""
    some = (
        select(roster_rows.c.row_number)
        .where(roster_rows.c.import_id == import_id)
        .order_by(roster_rows.c.row_number)
        .limit(_FORGET_ROWS)
        .scalar_subquery()
    )
    gone = await session.execute(
        delete(roster_rows)
        .where(roster_rows.c.import_id == import_id, roster_rows.c.row_number.in_(some))
        .returning(roster_rows.c.row_number),
        execution_options={"synchronize_session": False},
    )
    return len(gone.all()) > 0


async def forget_file(session: WriteSession, roster: RosterImport) -> None:
    """Destroy the uploaded file: first of all its key."""
    roster.file_key_wrapped = None
    roster.version += 1
    for table in (roster_file_pieces, roster_missing):
        await session.execute(delete(table).where(table.c.import_id == roster.id))


async def next_expired(session: WriteSession, now: datetime) -> RosterImport | None:
    """The oldest import whose time has run out and whose file is still there, locked."""
    expired = (
        select(RosterImport)
        .where(roster_imports.c.expires_at < now, roster_imports.c.file_key_wrapped.is_not(None))
        .order_by(roster_imports.c.expires_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return await session.scalar(expired)


def _resealed(ring: KeyRing, people: Sequence[asyncpg.Record]) -> list[list[Any]]:
    """Row numbers, phones, birth dates, units, paths: what is new is opened as staged and sealed under the member's own key."""
    rows: list[tuple[Any, ...]] = []
    for person in people:
        staged = PersonKey.opened(ring, person["row_key"], person["row_key_version"])
        own = PersonKey.opened(ring, person["member_key"], person["member_key_version"])
        sealed = [
            _moved(staged, own, column, person["sealed_for"], person["id"], person[column])
            for column in ("phone_sealed", "birth_date_sealed")
        ]
        rows.append((person["row_number"], *sealed, person["unit_id"], person["unit_path"]))
    return as_columns(rows)


def _moved(
    staged: PersonKey, own: PersonKey, column: str, sealed_for: UUID, member_id: UUID, value: bytes | None
) -> bytes | None:
    if value is None:
        return None
    plain = staged.unseal(value, table=sealing.TABLE, column=column, record=sealed_for)
    return own.seal(plain, table=sealing.TABLE, column=column, record=member_id)


async def _count_hints(
    session: WriteSession, roster: RosterImport, elsewhere: Sequence[asyncpg.Record], today: date
) -> None:
    """Count and audit, for whoever uploaded the file, whom it tells to be registered elsewhere (settled §27)."""
    if not elsewhere:
        return
    user = (roster.uploaded_issuer, roster.uploaded_subject)
    if not await use_today(session, *user, "roster-hint", today, HINT_DAILY_CAP, uses=len(elsewhere)):
        raise FileRefused("roster-too-many-elsewhere", cap=HINT_DAILY_CAP)
    session.act_as(*user)
    for member in elsewhere:
        session.audit("member.hint", "member", member["id"], {"roster": str(roster.id)}, path=member["path"])


async def _once(content: bytes) -> AsyncIterator[bytes]:
    """The driver takes bytes for a file's name."""
    yield content


def _found(roster: RosterImport | None) -> RosterImport:
    if roster is None:
        raise NotFound("not-found")
    return roster
