"""The table of calendar feeds. Not under row-level security: a row is an id and a hash, and is found before anybody is known."""

from sqlalchemy import Column, DateTime, LargeBinary, Table, Uuid

from events_service.metadata import metadata

calendar_feeds = Table(
    "calendar_feeds",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("made_at", DateTime(timezone=True), nullable=False),
)
