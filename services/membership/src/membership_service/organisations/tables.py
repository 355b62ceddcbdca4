"""Tables of the organisation tree, and how the domain's plain classes map to them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    Integer,
    Sequence,
    Table,
    Text,
    Uuid,
    text,
)

from membership_service.metadata import mapper, metadata
from membership_service.organisations.dependents import Dependents, register
from membership_service.organisations.domain import (
    Chapter,
    Happening,
    Organisation,
    Plan,
    PlanKind,
    PlanState,
)
from shared.contracts.membership import OrganisationKind
from shared.database.metadata import text_enum
from shared.database.paths import Path

organisation_numbers = Sequence("organisation_numbers", metadata=metadata)

_KIND: Enum = text_enum(OrganisationKind)

organisations = Table(
    "organisations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", BigInteger, nullable=False, unique=True),
    Column("code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("kind", _KIND, nullable=False),
    Column("parent_id", Uuid, ForeignKey("organisations.id")),
    Column("parent_since", Date, nullable=False),
    Column("founded_on", Date, nullable=False),
    Column("dissolved_on", Date),
    Column("path", Path, nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Index("ix_organisations_parent_id_number", "parent_id", "number"),
    # One root: in this index two units without a parent are the same key.
    Index(
        "uq_organisations_root",
        "parent_id",
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=text("parent_id IS NULL"),
    ),
)

organisation_history = Table(
    "organisation_history",
    metadata,
    Column("organisation_id", Uuid, ForeignKey("organisations.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("happening", text_enum(Happening), nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("recorded_issuer", Text, nullable=False),
    Column("recorded_subject", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", _KIND, nullable=False),
    Column("parent_id", Uuid),
    Column("successor_id", Uuid),
    Column("dissolved", Boolean, nullable=False),
    Column("path", Path, nullable=False),
    Index("ix_organisation_history_parent_id", "parent_id", "valid_from"),
    Index("ix_organisation_history_path", "path"),
)

organisation_plans = Table(
    "organisation_plans",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organisation_id", Uuid, ForeignKey("organisations.id"), nullable=False),
    Column("kind", text_enum(PlanKind), nullable=False),
    Column("target_id", Uuid, ForeignKey("organisations.id"), nullable=False),
    Column("effective_on", Date, nullable=False),
    Column("planned_issuer", Text, nullable=False),
    Column("planned_subject", Text, nullable=False),
    Column("planned_at", DateTime(timezone=True), nullable=False),
    Column("state", text_enum(PlanState), nullable=False),
    Column("refusal", Text),
    Column("path", Path, nullable=False),
    Index(
        "uq_organisation_plans_planned",
        "organisation_id",
        unique=True,
        postgresql_where=text("state = 'planned'"),
    ),
    Index("ix_organisation_plans_due", "effective_on", postgresql_where=text("state = 'planned'")),
    Index("ix_organisation_plans_path", "path"),
)

# Versions are counted by the domain (one version is one event); the mapper adds the compare to every UPDATE.
mapper.map_imperatively(
    Organisation,
    organisations,
    version_id_col=organisations.c.version,
    version_id_generator=False,
)
mapper.map_imperatively(Chapter, organisation_history)
mapper.map_imperatively(Plan, organisation_plans)

register(
    Dependents(
        name="organisations",
        table=organisations,
        organisation=(organisations.c.parent_id,),
        live=organisations.c.dissolved_on.is_(None),
    )
)
