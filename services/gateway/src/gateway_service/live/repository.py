"""Announces changed places on a channel of the gateway's own database; every HTTP process listens there."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from shared.contracts.envelope import Received
from shared.contracts.events_service import ACTIVITIES, REGISTRATIONS
from shared.contracts.membership import MEMBERS, ORGANISATIONS
from shared.contracts.welfare import CASES
from shared.database.session import WriteSession, driver

CHANNEL = "gateway_live"
#: What changed: figures that everybody with a post there may read, or those of aid, which are for few.
FIGURES: Final = "figures"
AID: Final = "aid"
_KINDS: Final = {
    MEMBERS.name: FIGURES,
    ACTIVITIES.name: FIGURES,
    REGISTRATIONS.name: FIGURES,
    CASES.name: AID,
}

# A payload holds 8,000 bytes at most: of a batch that touches more, the first places and the root stand for all.
_ANNOUNCE = """
    SELECT pg_notify($1, $2::text || ' ' || coalesce(string_agg(path, ',') FILTER (WHERE place <= 50), '')
        || CASE WHEN count(*) > 50 THEN ',*' ELSE '' END)
    FROM (
        SELECT path, row_number() OVER (ORDER BY path) AS place FROM directory_organisations
        WHERE id = ANY($3::uuid[]) AND path IS NOT NULL AND length(path) < 150
    ) changed HAVING count(*) > 0
"""


async def announce(session: WriteSession, events: Sequence[Received]) -> None:
    """Say which units' figures changed; heard only once the transaction is committed."""
    changed: dict[str, set[UUID]] = {FIGURES: set(), AID: set()}
    for event in events:
        if event.topic == ORGANISATIONS.name:
            changed[FIGURES].add(event.subject)
        elif event.data and (kind := _KINDS.get(event.topic)):
            changed[kind].add(UUID(event.data["state"]["organisation_id"]))
    for kind, units in changed.items():
        if units:
            await (await driver(session)).execute(_ANNOUNCE, CHANNEL, kind, sorted(units))
