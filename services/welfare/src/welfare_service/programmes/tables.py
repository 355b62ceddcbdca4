"""Tables of programmes. A programme is seen in its own subtree and, being for them, by all units below it."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.database.metadata import text_enum
from shared.database.paths import Path
from welfare_service.metadata import mapper, metadata
from welfare_service.programmes.domain import AmountRule, Programme, ProgrammeKind, ProgrammeVersion

_Moment = DateTime(timezone=True)

programmes = Table(
    "programmes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("budget_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", text_enum(ProgrammeKind), nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False),
    Column("amount_rule", text_enum(AmountRule), nullable=False),
    Column("fixed_fen", BigInteger),
    Column("cap_per_time_fen", BigInteger),
    Column("cap_per_year_fen", BigInteger),
    Column("eligibility", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", _Moment, nullable=False),
    Column("updated_at", _Moment, nullable=False),
    CheckConstraint("ends_on >= starts_on", name="ends_after_start"),
    CheckConstraint(
        "fixed_fen > 0 AND cap_per_time_fen > 0 AND cap_per_year_fen > 0", name="amounts_positive"
    ),
    Index("ix_programmes_path_id", "path", "id"),
    Index("ix_programmes_organisation_id", "organisation_id"),
)

programme_history = Table(
    "programme_history",
    metadata,
    Column("programme_id", Uuid, ForeignKey("programmes.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("happened_at", _Moment, nullable=False),
    Column("organisation_id", Uuid, nullable=False),
    Column("actor_issuer", Text, nullable=False),
    Column("actor_subject", Text, nullable=False),
    Column("terms", JSONB, nullable=False),
)

mapper.map_imperatively(
    Programme, programmes, version_id_col=programmes.c.version, version_id_generator=False
)
mapper.map_imperatively(ProgrammeVersion, programme_history)
