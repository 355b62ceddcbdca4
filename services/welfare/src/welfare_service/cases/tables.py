"""Tables of aid cases. Indexes for work are partial on the stages that wait, so that years of history cost them nothing."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.contracts.welfare import CaseStage
from shared.database.metadata import text_enum
from shared.database.paths import Path
from welfare_service.cases.domain import AidCase, FlagReason, Happening, HistoryEntry
from welfare_service.metadata import mapper, metadata

_Moment = DateTime(timezone=True)
_WAITING = text("stage IN ('draft', 'submitted', 'returned', 'approved', 'disbursing', 'paid')")

#: Case numbers (受理编号) are the year and eight digits; a rolled-back draft leaves a hole.
case_numbers = Sequence("case_numbers", metadata=metadata)

cases = Table(
    "cases",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("case_number", Text, nullable=False, unique=True),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("programme_id", Uuid, ForeignKey("programmes.id"), nullable=False),
    Column("member_id", Uuid, nullable=False),
    Column("dossier_id", Uuid),
    Column("stage", text_enum(CaseStage), nullable=False),
    Column("stage_since", _Moment, nullable=False),
    Column("due_on", Date),
    Column("levels_up", SmallInteger, nullable=False),
    Column("requested_fen", BigInteger, nullable=False),
    Column("approved_fen", BigInteger),
    Column("paid_fen", BigInteger),
    Column("approved_on", Date),
    Column("budget_id", Uuid),
    Column("data_key_wrapped", LargeBinary),
    Column("key_version", SmallInteger, nullable=False),
    Column("reason_sealed", LargeBinary),
    Column("payee_name_sealed", LargeBinary),
    Column("account_sealed", LargeBinary),
    Column("account_masked", Text),
    Column("flagged", Boolean, nullable=False),
    Column("flag_reason", text_enum(FlagReason)),
    Column("flagged_at", _Moment),
    Column("drafted_by_issuer", Text, nullable=False),
    Column("drafted_by_subject", Text, nullable=False),
    Column("is_own", Boolean, nullable=False),
    Column("submitted_by_issuer", Text),
    Column("submitted_by_subject", Text),
    Column("approved_by_issuer", Text),
    Column("approved_by_subject", Text),
    Column("version", Integer, nullable=False),
    Column("created_at", _Moment, nullable=False),
    Column("updated_at", _Moment, nullable=False),
    CheckConstraint(
        "requested_fen > 0 AND approved_fen > 0 AND approved_fen <= requested_fen", name="amounts"
    ),
    CheckConstraint("paid_fen > 0 AND paid_fen <= approved_fen", name="paid_at_most_approved"),
    CheckConstraint("flagged = (flag_reason IS NOT NULL)", name="flag_has_reason"),
    Index("ix_cases_path_id", "path", "id"),
    Index("ix_cases_organisation_id", "organisation_id"),
    Index("ix_cases_programme_id", "programme_id", "id"),
    Index("ix_cases_member_id", "member_id", "id"),
    Index("ix_cases_waiting", "path", "id", postgresql_where=_WAITING),
    Index("ix_cases_due", "due_on", "stage_since", postgresql_where=_WAITING),
    Index(
        "ix_cases_mendable",
        "drafted_by_subject",
        "drafted_by_issuer",
        postgresql_where=text("stage IN ('draft', 'returned')"),
    ),
    Index(
        "ix_cases_helped",
        "approved_on",
        "member_id",
        "programme_id",
        postgresql_where=text("approved_on IS NOT NULL"),
    ),
)

case_history = Table(
    "case_history",
    metadata,
    Column("case_id", Uuid, ForeignKey("cases.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("happening", text_enum(Happening), nullable=False),
    Column("stage", text_enum(CaseStage), nullable=False),
    Column("happened_at", _Moment, nullable=False),
    Column("on_date", Date, nullable=False),
    Column("organisation_id", Uuid, nullable=False),
    Column("previous_organisation_id", Uuid),
    Column("actor_issuer", Text, nullable=False),
    Column("actor_subject", Text, nullable=False),
    Column("reason_sealed", LargeBinary),
    Column("code", Text),
    Column("decision", JSONB),
)

#: Who takes the running affairs of a dissolved unit. Nothing of it is scoped: it says what everybody may know.
successions = Table(
    "successions",
    metadata,
    Column("organisation_id", Uuid, primary_key=True),
    Column("successor_id", Uuid, nullable=False),
)

mapper.map_imperatively(AidCase, cases, version_id_col=cases.c.version, version_id_generator=False)
mapper.map_imperatively(HistoryEntry, case_history)
