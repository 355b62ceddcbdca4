"""The table of check-ins."""

from sqlalchemy import Column, DateTime, ForeignKey, Index, SmallInteger, Table, Text, Uuid

from events_service.checkins.domain import Way
from events_service.metadata import metadata
from shared.database.metadata import text_enum

_Moment = DateTime(timezone=True)

check_ins = Table(
    "check_ins",
    metadata,
    Column("registration_id", Uuid, ForeignKey("registrations.id"), primary_key=True),
    Column("session_number", SmallInteger, primary_key=True, autoincrement=False),
    Column("activity_id", Uuid, nullable=False),
    Column("attended_at", _Moment, nullable=False),
    Column("way", text_enum(Way), nullable=False),
    Column("recorded_at", _Moment, nullable=False),
    Column("actor_issuer", Text, nullable=False),
    Column("actor_subject", Text, nullable=False),
    Column("device_id", Text),
    Column("local_id", Text),
    Index("ix_check_ins_activity_id", "activity_id", "session_number", "registration_id"),
)
