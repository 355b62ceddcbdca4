"""Every query of lotteries, set-based: a million entries never pass through this process but as blocks."""

from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from events_service.lottery.domain import BLOCK, Lottery
from events_service.lottery.tables import lotteries, lottery_blocks
from shared.database.session import ReadSession, WriteSession, driver
from shared.kernel.errors import NotFound

#: Seconds. A million entries are one statement.
_LONG: Final = 300.0
_COMMIT: Final = text("""
    INSERT INTO lotteries (activity_id, commitment, committed_at, seed_wrapped)
    VALUES (:activity, :commitment, :at, :wrapped) ON CONFLICT (activity_id) DO NOTHING
""")
_ENTRIES: Final = """
    SELECT count(*) AS entries, sha256(coalesce(string_agg(uuid_send(id), ''::bytea ORDER BY id), ''::bytea)) AS digest
    FROM registrations WHERE activity_id = $1 AND status = 'entered'
"""
#: $2 key, $3 seats by pool. An entry is packed as `domain.unpacked` reads it.
_RECORD: Final = f"""
    INSERT INTO lottery_blocks (activity_id, number, entries)
    SELECT $1, (rank - 1) / {BLOCK}, string_agg(
        uuid_send(id) || int2send(pool) || CASE WHEN position <= ($3::int[])[pool + 1] THEN '\\x01' ELSE '\\x00' END::bytea
            || int4send(position::int), ''::bytea ORDER BY rank)
    FROM (
        SELECT id, pool, row_number() OVER (ORDER BY lot) AS rank, row_number() OVER (PARTITION BY pool ORDER BY lot) AS position
        FROM (
            SELECT id, pool, sha256($2::bytea || uuid_send(id)) AS lot FROM registrations
            WHERE activity_id = $1 AND status = 'entered'
        ) AS entered
    ) AS ranked GROUP BY (rank - 1) / {BLOCK}
"""  # noqa: S608 - made of the constant above
#: Ordering a million entries in memory takes a third of the time.
_SORT_IN_MEMORY: Final = "SELECT set_config('work_mem', '128MB', true)"


async def add_commitment(session: WriteSession, lottery: Lottery) -> None:
    """Write a new lottery; one that is there already stays as it is, whatever happens to its activity."""
    values = {
        "activity": lottery.activity_id,
        "commitment": lottery.commitment,
        "at": lottery.committed_at,
        "wrapped": lottery.seed_wrapped,
    }
    await session.execute(_COMMIT, values)


async def get(session: ReadSession, activity_id: UUID) -> Lottery:
    """The lottery of an activity. Raises NotFound, also for what the caller may not see."""
    return _found(await session.scalar(select(Lottery).where(lotteries.c.activity_id == activity_id)))


async def get_for_change(session: WriteSession, activity_id: UUID) -> Lottery:
    """The same, locked. Whoever also locks the activity does that before, seats and registrations after this."""
    locked = select(Lottery).where(lotteries.c.activity_id == activity_id).with_for_update()
    return _found(await session.scalar(locked.execution_options(populate_existing=True)))


async def count_entries(session: WriteSession, activity_id: UUID) -> tuple[int, bytes]:
    """How many entries there are and the digest of their ids; they stay so while the seats are locked."""
    [row] = await (await driver(session)).fetch(_ENTRIES, activity_id, timeout=_LONG)
    return row["entries"], row["digest"]


async def record(session: WriteSession, activity_id: UUID, key: bytes, seats: list[int]) -> None:
    """Draw: keep what became of each entry, in the order of the draw, for good. What it means for them is settled after."""
    connection = await driver(session)
    await connection.execute(_SORT_IN_MEMORY)
    await connection.execute(_RECORD, activity_id, key, seats, timeout=_LONG)


async def block(session: ReadSession, activity_id: UUID, number: int) -> bytes | None:
    """One block of the record; None after the last."""
    columns = lottery_blocks.c
    found = select(columns.entries).where(columns.activity_id == activity_id, columns.number == number)
    entries: bytes | None = await session.scalar(found)
    return entries


def _found(lottery: Lottery | None) -> Lottery:
    if lottery is None:
        raise NotFound("lottery-none")
    return lottery
