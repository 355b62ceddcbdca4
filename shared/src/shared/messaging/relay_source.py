"""What the relay asks of the outbox: what is new between two snapshots, and whether a slot may be emptied.

A cursor on ids loses rows of slow transactions (20 % in a trial) and a watermark on transaction ids stalls behind any open one,
so the question is put as PostgreSQL itself would: a row is new if its transaction was not yet visible in the last snapshot.
Those are the transactions at or above that snapshot's xmax and the few that were in progress then: two index ranges, however
long others stay open.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from shared.database.shared_tables import OUTBOX_SLOT_SECONDS, OUTBOX_SLOTS

#: One leader per outbox; advisory locks are per database.
LEADER_LOCK = 0x72656C61
#: The statistics of a table that is truncated all the time lie: only index plans are right here. Losing the last progress to a
#: crash only sends twice.
SESSION_SETTINGS = {
    "application_name": "relay",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
    "synchronous_commit": "off",
    "idle_in_transaction_session_timeout": "10000",
}

_COLUMNS = "id, event_id, topic, key, type, sequence, source, time, payload, traceparent"
# The first page comes with the snapshot: a pass mostly has no second, and each way to the database delays what waits.
# `id + 0` keeps the planner from walking the primary key through everything that is sent already.
_LOOK = f"""
    SELECT {_COLUMNS}, pg_current_snapshot()::text AS target, clock_timestamp() AS at
    FROM (VALUES (1)) AS always LEFT JOIN (
        SELECT * FROM (
            SELECT {_COLUMNS} FROM outbox WHERE xid >= pg_snapshot_xmax($1::text::pg_snapshot)
            UNION ALL
            SELECT {_COLUMNS} FROM outbox WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
        ) AS unsent ORDER BY id + 0 LIMIT $2
    ) AS new ON true
    ORDER BY id + 0
"""  # noqa: S608 - a constant
_PAGE = f"""
    SELECT {_COLUMNS} FROM outbox
    WHERE id > $3 AND NOT pg_visible_in_snapshot(xid, (SELECT $1::text::pg_snapshot))
      AND pg_visible_in_snapshot(xid, (SELECT $2::text::pg_snapshot))
    ORDER BY id LIMIT $4
"""  # noqa: S608 - a constant
_EVERYTHING = f"SELECT {_COLUMNS} FROM outbox WHERE id > $1 ORDER BY id LIMIT $2"  # noqa: S608 - a constant
_IDENTIFIER = "SELECT system_identifier FROM pg_control_system()"
_PROGRESS = "SELECT system_identifier, previous::text, target::text, last_id, leader FROM relay_progress"
_STORE = """
    UPDATE relay_progress SET previous = $1::text::pg_snapshot, target = $2::text::pg_snapshot, last_id = $3,
        sent_until = coalesce($4, sent_until), updated_at = now()
    WHERE leader = $5
"""

# Counting stops at a number that says "too many" as well as the true one would.
_BACKLOG = """
    WITH new AS (
        SELECT created_at, xid, id FROM outbox WHERE xid >= pg_snapshot_xmax($1::text::pg_snapshot)
        UNION ALL
        SELECT created_at, xid, id FROM outbox
        WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
    ), unsent AS (
        SELECT created_at FROM new
        WHERE $2::text IS NULL OR id > $3 OR NOT pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
        LIMIT 100000
    )
    SELECT count(*) AS rows, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS age,
        (pg_snapshot_xmax(pg_current_snapshot())::text::numeric
         - pg_snapshot_xmin(pg_current_snapshot())::text::numeric)::float8 AS xids
    FROM unsent
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Unsent rows (counted up to 100,000), the age of their oldest, and how many transactions began since the oldest open one."""

    rows: int
    age_seconds: float
    oldest_transaction_xids: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything visible in `previous` is sent; if a pass is under way, so is what is visible in `target` up to `last_id`."""

    previous: str
    target: str | None = None
    last_id: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """The present snapshot, the database's time, and the first new rows in order (none: nothing is new)."""

    target: str
    at: datetime
    rows: list[asyncpg.Record]


class NotLeader(RuntimeError):
    """Somebody else leads this outbox by now."""


class OutboxSource:
    """The outbox, over the one connection that also holds the leader's lock: who loses it can neither read nor note progress."""

    def __init__(self, connection: asyncpg.Connection, leader: UUID) -> None:
        self._connection = connection
        self._leader = leader

    async def _row(self, query: str, *arguments: Any) -> asyncpg.Record:
        """The one row of a query that always has one."""
        row = await self._connection.fetchrow(query, *arguments)
        if row is None:
            raise NotLeader("relay_progress has no row: the database is not migrated")
        return row

    async def try_lead(self) -> bool:
        """Take the leader's lock if it is free. It falls with the connection."""
        locked: bool = await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK)
        return locked

    async def take_over(self) -> tuple[Progress, bool, bool]:
        """Sign in as leader: the progress, whether the leader before may still be sending, whether the database was restored."""
        row = await self._row(_PROGRESS)
        identifier = await self._connection.fetchval(_IDENTIFIER)
        unclean = row["leader"] is not None and row["leader"] != self._leader
        restored = row["system_identifier"] not in (None, identifier)
        await self._connection.execute(
            "UPDATE relay_progress SET leader = $1, system_identifier = coalesce(system_identifier, $2)",
            self._leader,
            identifier,
        )
        return Progress(row["previous"], row["target"], row["last_id"]), unclean, restored

    async def sign_off(self) -> None:
        """Say that nothing of this leader is under way any more."""
        await self._connection.execute(
            "UPDATE relay_progress SET leader = NULL WHERE leader = $1", self._leader
        )

    async def look(self, progress: Progress, limit: int) -> Look:
        """What is new since `progress.previous`: at most `limit` rows."""
        rows = await self._connection.fetch(_LOOK, progress.previous, limit)
        first = rows[0]
        return Look(first["target"], first["at"], [] if first["id"] is None else rows)

    async def page(self, progress: Progress, after: int, limit: int) -> list[asyncpg.Record]:
        """New rows of the pass under way with ids above `after`, in order."""
        rows: list[asyncpg.Record] = await self._connection.fetch(
            _PAGE, progress.previous, progress.target, after, limit
        )
        return rows

    async def store(self, progress: Progress, sent_until: datetime | None) -> None:
        """Note progress; `sent_until` is the database's time before which everything is sent. Raises NotLeader."""
        status = await self._connection.execute(
            _STORE, progress.previous, progress.target, progress.last_id, sent_until, self._leader
        )
        if status != "UPDATE 1":
            raise NotLeader

    async def backlog(self, progress: Progress) -> Backlog:
        """What is not sent yet."""
        row = await self._row(_BACKLOG, progress.previous, progress.target, progress.last_id)
        return Backlog(row["rows"], row["age"], row["xids"])

    async def everything(self, after: int, limit: int) -> list[asyncpg.Record]:
        """All rows with ids above `after`, whatever their transaction: for a restored database."""
        rows: list[asyncpg.Record] = await self._connection.fetch(_EVERYTHING, after, limit)
        return rows

    async def start_afresh(self, sent: set[int]) -> Progress | None:
        """Empty the outbox of a restored database if it holds nothing but `sent`; None if something came in between."""
        async with self._connection.transaction():
            await self._connection.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
            ids = {row["id"] for row in await self._connection.fetch("SELECT id FROM outbox ORDER BY id")}
            if not ids <= sent:
                return None
            await self._connection.execute("TRUNCATE outbox")
            row = await self._row(
                f"UPDATE relay_progress SET system_identifier = ({_IDENTIFIER}), previous = pg_current_snapshot(),"  # noqa: S608
                " target = NULL, last_id = 0 RETURNING previous::text"
            )
        return Progress(row["previous"])

    async def rotate(self, progress: Progress) -> list[int]:
        """Empty the slots whose rows are all sent; the slots that were. Slots in use are left for another time."""
        current = await self._connection.fetchval(
            "SELECT extract(epoch FROM now())::bigint / $1::bigint % $2::bigint",
            OUTBOX_SLOT_SECONDS,
            OUTBOX_SLOTS,
        )
        return [
            slot
            for slot in range(OUTBOX_SLOTS)
            if slot != current and await self._is_filled(slot) and await self._empty(slot, progress)
        ]

    async def _is_filled(self, slot: int) -> bool:
        filled: bool = await self._connection.fetchval(f"SELECT EXISTS (SELECT 1 FROM outbox_{slot})")  # noqa: S608
        return filled

    async def _empty(self, slot: int, progress: Progress) -> bool:
        try:
            async with self._connection.transaction():
                await self._connection.execute("SET LOCAL lock_timeout = '100ms'")
                # First the lock, then the look: a slow transaction could still bring a row in between.
                await self._connection.execute(f"LOCK TABLE outbox_{slot} IN ACCESS EXCLUSIVE MODE")
                if not await self._all_sent(slot, progress):
                    return False
                await self._connection.execute(f"TRUNCATE outbox_{slot}")
        except asyncpg.LockNotAvailableError:
            return False
        return True

    async def _all_sent(self, slot: int, progress: Progress) -> bool:
        unsent: bool = await self._connection.fetchval(
            f"SELECT EXISTS (SELECT 1 FROM outbox_{slot} WHERE NOT pg_visible_in_snapshot(xid, $1::text::pg_snapshot))",  # noqa: S608
            progress.previous,
        )
        return not unsent


def at(progress: Progress, row_id: int) -> Progress:
    """The progress once all rows of the pass up to `row_id` are sent."""
    return replace(progress, last_id=row_id)


def ended(progress: Progress) -> Progress:
    """The progress once the pass is sent as a whole."""
    return Progress(progress.target or progress.previous)
