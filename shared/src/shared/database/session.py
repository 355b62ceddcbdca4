"""Sessions: one transaction each, under a scope. Readers and writers differ in type: a signature says which it needs."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.contracts.envelope import Event
from shared.database.scope import Scope

#: Larger facts do not belong on Kafka; the broker's own limit is 1 MB.
LARGEST_PAYLOAD = 256 * 1024
#: Who acts when nobody does: jobs and consumers.
SYSTEM = "system"

#: Columns of the outbox that a writer gives; id, slot, xid and created_at are the table's business. Bulk SQL writes
#: `INSERT INTO outbox (<these>) SELECT ...` as the last statement of its transaction, ordered so that versions of a key ascend.
OUTBOX_COLUMNS = ("event_id", "topic", "key", "type", "sequence", "source", "time", "payload", "traceparent")

INSERT_OUTBOX = f"""
    INSERT INTO outbox ({", ".join(OUTBOX_COLUMNS)})
    SELECT {", ".join(OUTBOX_COLUMNS)}
    FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[], $8::bytea[],
                $9::text[])
        WITH ORDINALITY AS event ({", ".join(OUTBOX_COLUMNS)}, position)
    ORDER BY position
"""  # noqa: S608 - made of the constant above
_INSERT_AUDIT = """
    INSERT INTO audit_entries (actor_issuer, actor_subject, request_id, action, subject_kind, subject_id, path, details)
    SELECT $1, $2, $3, action, subject_kind, subject_id, path, details::jsonb
    FROM unnest($4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[])
        AS entry (action, subject_kind, subject_id, path, details)
"""
_SCOPE = text("SELECT set_config('app.scope', :scope, true)")


class ReadSession(AsyncSession):
    """A read-only transaction."""

    def __init__(self, engine: AsyncEngine, scope: Scope, application_name: str) -> None:
        super().__init__(engine, expire_on_commit=False)
        self.granted = scope
        self.application_name = application_name


class WriteSession(ReadSession):
    """A transaction that changes something. Events and audit rows wait until the work is flushed, then go in last."""

    def __init__(self, engine: AsyncEngine, scope: Scope, application_name: str) -> None:
        super().__init__(engine, scope, application_name)
        self._events: list[Event] = []
        self._audit: list[tuple[str, str, UUID, str | None, str]] = []
        self._last: list[Callable[[], Awaitable[None]]] = []
        self._actor: tuple[str, str, str | None] = (SYSTEM, application_name, None)

    def act_as(self, issuer: str, subject: str, request_id: str | None = None) -> None:
        """Name the user whose acts the audit rows are; without it they are this program's own."""
        self._actor = (issuer, subject, request_id)

    def emit(self, event: Event) -> None:
        """Publish `event` with this transaction. Its aggregate's row must be locked or version-checked by then."""
        self._events.append(event)

    def audit(
        self,
        action: str,
        subject_kind: str,
        subject_id: UUID,
        details: dict[str, str] | None = None,
        *,
        path: str | None = None,
    ) -> None:
        """Record who did `action` to what at which organisation (`path`). `details` holds ids, codes and reasons only."""
        row = (action, subject_kind, subject_id, path, orjson.dumps(details or {}).decode())
        self._audit.append(row)

    def at_last(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` when all else is written, right before the commit: for a statement on a row that many want at once.

        The row is then locked for that statement and the commit alone. What `work` raises rolls all of it back; it may neither
        emit nor audit. Several are done in the order in which they were asked for.
        """
        self._last.append(work)

    async def widen_scope(self, path: str) -> None:
        """Add a subtree for the rest of the transaction: only for a use case that checked an authorisation of its own."""
        self.granted = self.granted.with_path(path)
        await self.execute(_SCOPE, {"scope": self.granted.setting()})

    async def flush_events(self) -> None:
        """Write what is pending: the ORM's work, audit rows, outbox rows, what is to be last. Called right before the commit."""
        await self.flush()
        if self._audit:
            connection = await driver(self)
            await connection.execute(_INSERT_AUDIT, *self._actor, *as_columns(self._audit))
            self._audit.clear()
        if self._events:
            connection = await driver(self)
            await connection.execute(INSERT_OUTBOX, *as_columns(outbox_row(event) for event in self._events))
            self._events.clear()
        last, self._last = self._last, []
        for work in last:
            await work()


def outbox_row(event: Event) -> tuple[Any, ...]:
    """The values of OUTBOX_COLUMNS for an event. Raises ValueError if its data is too large to be a fact."""
    payload = event.value()
    if payload is not None and len(payload) > LARGEST_PAYLOAD:
        raise ValueError(f"data of {event.type} has {len(payload)} bytes, more than {LARGEST_PAYLOAD}")
    return (
        event.id,
        event.topic.name,
        event.subject,
        event.type,
        event.sequence,
        event.source,
        event.time,
        payload,
        event.traceparent,
    )


async def driver(session: AsyncSession) -> asyncpg.Connection:
    """The asyncpg connection of the session's transaction, which has surely begun: for set-based SQL over arrays."""
    connection = await session.connection()
    raw = await connection.get_raw_connection()
    driver_connection: asyncpg.Connection = raw.driver_connection  # type: ignore[assignment]
    # SQLAlchemy begins the transaction with its own first statement; the driver alone would run outside of it.
    if not driver_connection.is_in_transaction():
        await session.execute(text("SELECT 1"))
    return driver_connection


def as_columns(rows: Iterable[Iterable[Any]]) -> list[list[Any]]:
    """Rows as an array for each column, which is what a set-based statement unnests; no rows, no arrays."""
    return [list(column) for column in zip(*rows, strict=True)]
