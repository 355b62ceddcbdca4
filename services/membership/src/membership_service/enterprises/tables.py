"""The register of employers."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    true,
)

from membership_service.enterprises.domain import Enterprise, Ownership
from membership_service.metadata import mapper, metadata
from membership_service.organisations.dependents import Dependents, register
from shared.database.metadata import text_enum
from shared.database.paths import Path

enterprises = Table(
    "enterprises",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("credit_code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("industry", Text, nullable=False),
    Column("ownership", text_enum(Ownership), nullable=False),
    Column("headcount", Integer, CheckConstraint("headcount >= 0", name="headcount"), nullable=False),
    Column("women", Integer, nullable=False),
    Column("migrant_workers", Integer, nullable=False),
    Column("dispatched_workers", Integer, nullable=False),
    Column("unionised", Boolean, nullable=False),
    Column("verified_on", Date, nullable=False),
    Column("area_id", Uuid, ForeignKey("organisations.id"), nullable=False),
    Column("organisation_id", Uuid, ForeignKey("organisations.id")),
    Column("path", Path, nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_enterprises_path_id", "path", "id"),
)

# Versions are counted by the domain (one version is one event); the mapper adds the compare to every UPDATE.
mapper.map_imperatively(
    Enterprise, enterprises, version_id_col=enterprises.c.version, version_id_generator=False
)

register(
    Dependents(
        name="enterprises",
        table=enterprises,
        organisation=(enterprises.c.organisation_id, enterprises.c.area_id),
        live=true(),
    )
)
