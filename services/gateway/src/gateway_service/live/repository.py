"""Announces changed places on a channel of the gateway's own database; every HTTP process listens there."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from shared.contracts.envelope import Received
from shared.contracts.membership import MEMBERS, ORGANISATIONS
from shared.database.session import WriteSession

CHANNEL = "gateway_live"

# A payload holds 8,000 bytes at most: of a batch that touches more, the first places and the root stand for all.
_ANNOUNCE = text("""
    SELECT pg_notify(:channel, coalesce(string_agg(path, ',') FILTER (WHERE place <= 50), '')
        || CASE WHEN count(*) > 50 THEN ',*' ELSE '' END)
    FROM (
        SELECT path, row_number() OVER (ORDER BY path) AS place FROM directory_organisations
        WHERE id = ANY(:changed) AND path IS NOT NULL AND length(path) < 150
    ) changed HAVING count(*) > 0
""")


async def announce(session: WriteSession, events: Sequence[Received]) -> None:
    """Say which units' figures changed; heard only once the transaction is committed."""
    changed = {event.subject for event in events if event.topic == ORGANISATIONS.name}
    changed |= {
        UUID(event.data["state"]["organisation_id"])
        for event in events
        if event.topic == MEMBERS.name and event.data
    }
    if changed:
        await session.execute(_ANNOUNCE, {"channel": CHANNEL, "changed": sorted(changed)})
