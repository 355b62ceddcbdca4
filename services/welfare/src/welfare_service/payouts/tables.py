"""Tables of payouts. Indexes for work hold what waits alone, so that years of history cost them nothing."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from shared.database.metadata import text_enum
from shared.database.paths import Path
from welfare_service.metadata import mapper, metadata
from welfare_service.payouts.domain import (
    Channel,
    Finding,
    FindingKind,
    LineState,
    Payout,
    PayoutLine,
    PayoutState,
)

_Moment = DateTime(timezone=True)

#: Batch numbers are the year and eight digits; a rolled-back batch leaves a hole.
payout_numbers = Sequence("payout_numbers", metadata=metadata)

payouts = Table(
    "payouts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("channel", text_enum(Channel), nullable=False),
    Column("state", text_enum(PayoutState), nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("prepared_by_issuer", Text, nullable=False),
    Column("prepared_by_subject", Text, nullable=False),
    Column("prepared_at", _Moment, nullable=False),
    Column("sent_by_issuer", Text),
    Column("sent_by_subject", Text),
    Column("sent_at", _Moment),
    Column("answered_at", _Moment),
    Column("closed_by_issuer", Text),
    Column("closed_by_subject", Text),
    Column("closed_at", _Moment),
    Column("version", Integer, nullable=False),
    CheckConstraint(
        "(sent_by_issuer, sent_by_subject) <> (prepared_by_issuer, prepared_by_subject)", name="four_eyes"
    ),
    Index("ix_payouts_path_id", "path", "id"),
    Index("ix_payouts_organisation_id", "organisation_id"),
    Index(
        "ix_payouts_waiting", "path", "id", postgresql_where=text("state IN ('draft', 'sent', 'answered')")
    ),
)

payout_lines = Table(
    "payout_lines",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("payout_id", Uuid, ForeignKey("payouts.id"), nullable=False),
    Column("case_id", Uuid, ForeignKey("cases.id"), nullable=False),
    Column("attempt", SmallInteger, nullable=False),
    Column("budget_id", Uuid, ForeignKey("budgets.id"), nullable=False),
    Column("member_id", Uuid, nullable=False),
    Column("case_number", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("account_masked", Text, nullable=False),
    Column("state", text_enum(LineState), nullable=False),
    Column("reason", Text),
    Column("handed_at", _Moment),
    Column("asked_at", _Moment),
    Column("answered_at", _Moment),
    CheckConstraint("amount_fen > 0", name="amount"),
    UniqueConstraint("case_id", "attempt", name="uq_payout_lines_attempt"),
    # One approved payment has one living instruction, whoever prepares batches at the same time.
    Index("uq_payout_lines_living", "case_id", unique=True, postgresql_where=text("state <> 'failed'")),
    Index("ix_payout_lines_payout_id", "payout_id", "id"),
    Index(
        "ix_payout_lines_awaited",
        "asked_at",
        "id",
        postgresql_where=text("state IN ('pending', 'unknown', 'accepted')"),
    ),
)

payout_findings = Table(
    "payout_findings",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("payout_id", Uuid, ForeignKey("payouts.id"), nullable=False),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("line_id", Uuid, ForeignKey("payout_lines.id")),
    Column("kind", text_enum(FindingKind), nullable=False),
    Column("row_number", Integer),
    Column("reference", Text),
    Column("said", Text),
    Column("amount_fen", BigInteger),
    Column("found_at", _Moment, nullable=False),
    Column("resolved_at", _Moment),
    Column("resolved_by_issuer", Text),
    Column("resolved_by_subject", Text),
    Column("resolution", Text),
    Index("ix_payout_findings_payout_id", "payout_id", "id"),
    Index("ix_payout_findings_organisation_id", "organisation_id"),
    Index("ix_payout_findings_open", "path", "id", postgresql_where=text("resolved_at IS NULL")),
)

mapper.map_imperatively(Payout, payouts, version_id_col=payouts.c.version, version_id_generator=False)
mapper.map_imperatively(PayoutLine, payout_lines)
mapper.map_imperatively(Finding, payout_findings)
