"""Tables of registrations. No foreign key: the hot statement writes what the row of seats gave it, and nobody deletes."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from events_service.metadata import mapper, metadata
from events_service.registrations.domain import Happening, Registration
from shared.contracts.events_service import RegistrationStatus
from shared.database.metadata import text_enum
from shared.database.paths import Path

_Moment = DateTime(timezone=True)

registrations = Table(
    "registrations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("activity_id", Uuid, nullable=False),
    Column("member_id", Uuid, nullable=False),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("pool", SmallInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("status", text_enum(RegistrationStatus), nullable=False),
    Column("registered_at", _Moment, nullable=False),
    Column("cancelled_at", _Moment),
    Column("cancel_reason", Text),
    Column("attended", Boolean, nullable=False, server_default=text("false")),
    Column("satisfaction", SmallInteger),
    Column("version", Integer, nullable=False),
    CheckConstraint("satisfaction BETWEEN 1 AND 5", name="satisfaction_scale"),
    CheckConstraint("NOT attended OR status = 'confirmed'", name="attended_confirmed"),
    Index(
        "uq_registrations_live",
        "activity_id",
        "member_id",
        unique=True,
        postgresql_where=text("status <> 'cancelled'"),
    ),
    Index("ix_registrations_activity_id", "activity_id", "position", "id"),
    Index(
        "ix_registrations_waiting",
        "activity_id",
        "pool",
        "position",
        postgresql_where=text("status = 'waiting'"),
    ),
    Index("ix_registrations_member_id", "member_id", "id"),
    Index("ix_registrations_organisation_id", "organisation_id"),
)

registration_history = Table(
    "registration_history",
    metadata,
    Column("registration_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("happening", text_enum(Happening), nullable=False),
    Column("happened_at", _Moment, nullable=False),
    Column("actor_issuer", Text, nullable=False),
    Column("actor_subject", Text, nullable=False),
)

mapper.map_imperatively(
    Registration, registrations, version_id_col=registrations.c.version, version_id_generator=False
)
