"""What a timeline looks like on the wire."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel


class TimelineEntry(BaseModel):
    """One thing that happened to a member. `title` is in the reader's language; `details` are the event's public facts."""

    event_id: UUID
    type: str
    title: str
    at: datetime
    on: date | None
    organisation_id: UUID | None
    details: dict[str, Any]


class Timeline(BaseModel):
    """A page of a member's timeline, newest first. `as_of` is how far the view has read; None while unknown."""

    items: list[TimelineEntry]
    next_cursor: str | None = None
    as_of: datetime | None = None
