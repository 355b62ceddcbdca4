"""Effects happen once: an event enters the inbox in the transaction of its effect, or not at all."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from shared.contracts.envelope import Received
from shared.database.shared_tables import inbox_quarters

#: Older events are neither applied nor looked up: their entries may be gone.
KEPT = timedelta(days=90)

_ENTER = """
    INSERT INTO inbox (event_id, consumer) SELECT event_id, $2 FROM unnest($1::uuid[]) AS event (event_id)
    ON CONFLICT DO NOTHING RETURNING event_id
"""


def recent(events: Sequence[Received], now: datetime) -> list[Received]:
    """Those that the inbox can still tell apart."""
    return [event for event in events if event.time >= now - KEPT]


async def enter(connection: asyncpg.Connection, consumer: str, events: Sequence[Received]) -> list[Received]:
    """Enter events; those that `consumer` had not applied yet, each once, in the order given."""
    rows = await connection.fetch(_ENTER, [event.id for event in events], consumer)
    if len(rows) == len(events):
        return list(events)
    unseen: set[UUID] = {row["event_id"] for row in rows}
    fresh = []
    for event in events:
        if event.id in unseen:
            unseen.discard(event.id)
            fresh.append(event)
    return fresh


async def prune(connection: asyncpg.Connection, now: datetime) -> list[str]:
    """Empty the quarters that ended more than KEPT ago; their names."""
    oldest = UUID(int=int((now - KEPT).timestamp() * 1000) << 80)
    emptied = []
    for name, _, end in inbox_quarters():
        if end <= oldest and await connection.fetchval(f"SELECT EXISTS (SELECT 1 FROM {name})"):  # noqa: S608
            await connection.execute(f"TRUNCATE {name}")
            emptied.append(name)
    return emptied
