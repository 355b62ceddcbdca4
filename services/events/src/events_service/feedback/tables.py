"""The table of feedback."""

from sqlalchemy import Column, DateTime, ForeignKey, Index, LargeBinary, SmallInteger, Table, Uuid, text

from events_service.feedback.domain import Feedback
from events_service.metadata import mapper, metadata

_Moment = DateTime(timezone=True)

feedback = Table(
    "feedback",
    metadata,
    Column("registration_id", Uuid, ForeignKey("registrations.id"), primary_key=True),
    Column("id", Uuid, nullable=False, unique=True),
    Column("activity_id", Uuid, nullable=False),
    Column("comment_sealed", LargeBinary),
    Column("data_key_wrapped", LargeBinary),
    Column("key_version", SmallInteger),
    Column("given_at", _Moment, nullable=False),
    Column("changed_at", _Moment, nullable=False),
    Index("ix_feedback_comments", "activity_id", "id", postgresql_where=text("comment_sealed IS NOT NULL")),
)

mapper.map_imperatively(Feedback, feedback)
