"""Rotation of the key-encryption key: every wrapped data key is rewrapped; the sealed fields stay as they are.

In this order: give every process a ring that knows the new key; then rings in which it is current; then run the job until
`keys_in_use` names only the new key; then take the old one out. The job may die anywhere: it goes on where the last chunk ended,
and running it again changes nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

from sqlalchemy import Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.security.keys import KeyRing

#: The job's kind; it is enqueued by an operator, never runs by itself.
ROTATION_JOB: Final = "keys.rotate"
#: Rows looked at in one transaction.
BATCH: Final = 1000
_BEFORE_ALL: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class WrappedKeys:
    """Where data keys lie: a table with a UUID key `id_column` and a `bytea` column, NULL where the key was destroyed."""

    table: Table
    id_column: str = "id"
    column: str = "data_key_wrapped"


class ProgressingJob(Protocol):
    """What a run needs of `shared.jobs`: transactions that it commits together with `progress`."""

    progress: dict[str, Any]

    def chunk(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A transaction, committed at the end of the block."""
        ...


def rotation_handler(
    ring: KeyRing, places: Sequence[WrappedKeys]
) -> Callable[[ProgressingJob], Awaitable[None]]:
    """The handler of ROTATION_JOB: rewraps all data keys at `places`."""

    async def rewrap_all(job: ProgressingJob) -> None:
        for place in places:
            # SQLAlchemy's names are a kind of text of their own, which is no key in JSON.
            name = str(place.table.name)
            while job.progress.get(name) != "done":
                async with job.chunk() as session:
                    after = await rewrap_batch(
                        session, ring, place, UUID(job.progress.get(name, str(_BEFORE_ALL)))
                    )
                    job.progress[name] = str(after) if after else "done"

    return rewrap_all


async def rewrap_batch(
    session: AsyncSession, ring: KeyRing, place: WrappedKeys, after: UUID = _BEFORE_ALL, limit: int = BATCH
) -> UUID | None:
    """Rewrap the keys of the next `limit` rows after `after`; the last row's id, or None at the end.

    A key that is destroyed or replaced meanwhile stays so: only the very value that was read is replaced.
    """
    identity, wrapped = place.table.c[place.id_column], place.table.c[place.column]
    statement = select(identity, wrapped).where(identity > after).order_by(identity).limit(limit)
    rows = (await session.execute(statement)).all()
    stale = [
        {"row": row[0], "old": row[1], "new": ring.wrap(ring.unwrap(row[1]))}
        for row in rows
        if row[1] is not None and not ring.is_current(row[1])
    ]
    if stale:
        update = text(
            f"UPDATE {place.table.name} SET {wrapped.name} = :new"  # noqa: S608 - names of our own tables
            f" WHERE {identity.name} = :row AND {wrapped.name} = :old"
        )
        await session.execute(update, stale)
    return rows[-1][0] if len(rows) == limit else None


async def keys_in_use(session: AsyncSession, place: WrappedKeys) -> dict[str, int]:
    """How many data keys are wrapped under each key-encryption key."""
    wrapped = place.table.c[place.column]
    name = func.convert_from(func.substring(wrapped, 2, func.get_byte(wrapped, 0)), "UTF8")
    rows = await session.execute(select(name, func.count()).where(wrapped.is_not(None)).group_by(name))
    return {row[0]: row[1] for row in rows}
