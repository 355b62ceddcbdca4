"""Tables of activities and their seats.

A row of seats is what registrations meet on: it alone says whether a seat is free and who comes next, so its lock is the order
of registrations. It repeats whether registration is open and where the activity stands, so that the one statement of a
registration trusts nothing but this row.
"""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from events_service.activities.domain import Activity, Happening, HistoryEntry
from events_service.activities.plan import ActivityKind, Quota, Session
from events_service.metadata import mapper, metadata
from shared.contracts.events_service import ActivityStage, AdmissionMode
from shared.database.metadata import text_enum
from shared.database.paths import Path

_Moment = DateTime(timezone=True)


class _Values(TypeDecorator[Any]):
    """A tuple of plain values of the domain, as JSON."""

    impl = JSONB
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind
        self._adapter: TypeAdapter[Any] = TypeAdapter(tuple[kind, ...])

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """To JSON."""
        return None if value is None else self._adapter.dump_python(value, mode="json")

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """From JSON."""
        return None if value is None else self._adapter.validate_python(value)


activities = Table(
    "activities",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("title", Text, nullable=False),
    Column("kind", text_enum(ActivityKind), nullable=False),
    Column("description", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("sessions", _Values(Session), nullable=False),
    Column("starts_at", _Moment, nullable=False),
    Column("ends_at", _Moment, nullable=False),
    Column("audience_organisation_id", Uuid, nullable=False),
    Column("audience_min_age", SmallInteger),
    Column("audience_max_age", SmallInteger),
    Column("audience_genders", ARRAY(Text), nullable=False),
    Column("audience_forms", ARRAY(Text), nullable=False),
    Column("audience_roles", ARRAY(Text), nullable=False),
    Column("mode", text_enum(AdmissionMode), nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("quotas", _Values(Quota), nullable=False),
    Column("registration_opens_at", _Moment, nullable=False),
    Column("registration_closes_at", _Moment, nullable=False),
    Column("stage", text_enum(ActivityStage), nullable=False),
    Column("stage_since", _Moment, nullable=False),
    Column("returned_reason", Text),
    Column("cancelled_reason", Text),
    Column("changed_at", _Moment),
    Column("version", Integer, nullable=False),
    CheckConstraint("capacity > 0", name="has_seats"),
    Index("ix_activities_path_id", "path", "id"),
    Index("ix_activities_path_stage_id", "path", "stage", "id"),
    Index("ix_activities_organisation_id", "organisation_id"),
    # What time moves on by itself.
    Index("ix_activities_to_open", "registration_opens_at", postgresql_where=text("stage = 'published'")),
    Index("ix_activities_to_close", "registration_closes_at", postgresql_where=text("stage = 'open'")),
    Index("ix_activities_to_hold", "ends_at", postgresql_where=text("stage = 'closed'")),
)

activity_history = Table(
    "activity_history",
    metadata,
    Column("activity_id", Uuid, ForeignKey("activities.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("happening", text_enum(Happening), nullable=False),
    Column("happened_at", _Moment, nullable=False),
    Column("stage", text_enum(ActivityStage), nullable=False),
    Column("actor_issuer", Text, nullable=False),
    Column("actor_subject", Text, nullable=False),
    Column("reason", Text),
    Column("changes", ARRAY(Text), nullable=False),
)

#: Pool 0 is for all who belong to no quota, pool n for the subtree of `unit_id`, the n-th quota.
activity_seats = Table(
    "activity_seats",
    metadata,
    Column("activity_id", Uuid, ForeignKey("activities.id"), primary_key=True),
    Column("pool", SmallInteger, primary_key=True, autoincrement=False),
    Column("unit_id", Uuid),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("seats", Integer, nullable=False),
    Column("taken", Integer, nullable=False),
    Column("last_position", BigInteger, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("closes_at", _Moment, nullable=False),
    Column("by_lottery", Boolean, nullable=False),
    CheckConstraint("taken >= 0 AND taken <= seats", name="never_oversold"),
    Index("ix_activity_seats_organisation_id", "organisation_id"),
)

#: Who takes over from a dissolved unit; a successor may be dissolved before its predecessor's end is heard of.
unit_successors = Table(
    "unit_successors",
    metadata,
    Column("organisation_id", Uuid, primary_key=True),
    Column("successor_id", Uuid, nullable=False),
)

# Versions are counted by the domain (one version is one event); the mapper adds the compare to every UPDATE.
mapper.map_imperatively(Activity, activities, version_id_col=activities.c.version, version_id_generator=False)
mapper.map_imperatively(HistoryEntry, activity_history)
