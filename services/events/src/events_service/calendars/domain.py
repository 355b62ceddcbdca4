"""What a calendar programme is told of a member's activities (RFC 5545). Pure: no IO.

An entry keeps its UID for good and its SEQUENCE only rises, so that a programme moves or strikes out what it has shown before.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from icalendar import Calendar, Event

from events_service.activities.plan import Session

#: What ended longer ago is not told any more.
KEPT: Final = timedelta(days=90)
TOKEN_BYTES: Final = 32
#: How long a programme need not ask again.
FRESH_SECONDS: Final = 300
_PRODUCT: Final = "-//Unionhall//Activities//ZH"
_NAME: Final = "职工之家 · Unionhall"


class Place(NamedTuple):
    """A member's place in an activity. `stamp` is when the newest change of either happened."""

    registration_id: UUID
    is_confirmed: bool
    title: str
    description: str
    place: str
    sessions: tuple[Session, ...]
    sequence: int
    stamp: datetime


def hash_of(token: str) -> bytes:
    """What is stored of the secret part of an address. It is long and random, so a plain hash keeps it."""
    return hashlib.sha256(token.encode()).digest()


def calendar(places: Iterable[Place]) -> bytes:
    """The feed: one entry for each session, the same bytes for the same places."""
    feed = Calendar()
    feed.add("version", "2.0")
    feed.add("prodid", _PRODUCT)
    feed.add("method", "PUBLISH")
    feed.add("x-wr-calname", _NAME)
    for one in places:
        for number, session in enumerate(one.sessions, 1):
            feed.add_component(_entry(one, number, session))
    rendered: bytes = feed.to_ical()
    return rendered


def entity_tag(feed: bytes) -> str:
    """The ETag of a feed."""
    return f'"{hashlib.sha256(feed).hexdigest()[:32]}"'


def _entry(one: Place, number: int, session: Session) -> Event:
    entry = Event()
    entry.add("uid", f"{one.registration_id}-{number}@unionhall")
    entry.add("dtstamp", one.stamp)
    entry.add("sequence", one.sequence)
    entry.add("dtstart", session.starts_at)
    entry.add("dtend", session.ends_at)
    entry.add("summary", one.title)
    entry.add("location", session.place or one.place)
    entry.add("description", one.description)
    entry.add("status", "CONFIRMED" if one.is_confirmed else "CANCELLED")
    return entry
