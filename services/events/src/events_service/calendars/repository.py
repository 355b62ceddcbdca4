"""Every query of calendar feeds."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import select, text

from events_service.activities.plan import Session
from events_service.calendars.domain import Place
from events_service.calendars.tables import calendar_feeds
from shared.database.session import ReadSession, WriteSession

_KEEP: Final = text("""
    INSERT INTO calendar_feeds (member_id, token_hash, made_at) VALUES (:member, :hash, :at)
    ON CONFLICT (member_id) DO UPDATE SET token_hash = excluded.token_hash, made_at = excluded.made_at
""")
_PLACES: Final = text("""
    SELECT registration_id, confirmed, title, description, place, sessions, sequence, stamp FROM calendar_of(:hash, :since)
""")
_FORGET: Final = text("DELETE FROM calendar_feeds WHERE member_id = ANY (:members)")
_SESSIONS: Final = TypeAdapter(tuple[Session, ...])


async def keep(session: WriteSession, member_id: UUID, token_hash: bytes, at: datetime) -> None:
    """Give the member a new feed; the old address is worth nothing from here on."""
    await session.execute(_KEEP, {"member": member_id, "hash": token_hash, "at": at})


async def is_known(session: ReadSession, token_hash: bytes) -> bool:
    """Whether somebody's feed has this address."""
    columns = calendar_feeds.c
    found = await session.scalar(select(columns.member_id).where(columns.token_hash == token_hash))
    return found is not None


async def places(session: ReadSession, token_hash: bytes, since: datetime) -> list[Place]:
    """The places that have or had a seat, in activities that ended after `since`, of whoever has this address."""
    rows = await session.execute(_PLACES, {"hash": token_hash, "since": since})
    return [
        Place(
            row.registration_id,
            row.confirmed,
            row.title,
            row.description,
            row.place,
            _SESSIONS.validate_python(row.sessions),
            row.sequence,
            row.stamp,
        )
        for row in rows
    ]


async def forget(session: WriteSession, member_ids: Sequence[UUID]) -> None:
    """End the feeds of erased members."""
    await session.execute(_FORGET, {"members": list(member_ids)})
