"""Tables of budgets and of the journal, which nobody can change: insert-only by right, and guarded by triggers.

`journal_lines.version` is the position of an entry among those of a budget, without gaps, in the order of commits; each line
carries the budget's figures after it, so that no past moment can have been overdrawn unseen.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from shared.database.metadata import text_enum
from shared.database.paths import Path
from shared.database.types import Xid8
from welfare_service.funds.domain import Account, Budget, EntryKind, Source
from welfare_service.metadata import mapper, metadata

_Moment = DateTime(timezone=True)

budgets = Table(
    "budgets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("year", SmallInteger, nullable=False),
    Column("source", text_enum(Source), nullable=False),
    Column("name", Text, nullable=False),
    Column("allocated_fen", BigInteger, nullable=False),
    Column("reserved_fen", BigInteger, nullable=False),
    Column("paid_fen", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _Moment, nullable=False),
    CheckConstraint("reserved_fen >= 0 AND paid_fen >= 0", name="not_negative"),
    CheckConstraint("reserved_fen + paid_fen <= allocated_fen", name="not_overdrawn"),
    UniqueConstraint("organisation_id", "year", "source", "name", name="uq_budgets_purpose"),
    Index("ix_budgets_year_path_id", "year", "path", "id"),
)

journal_entries = Table(
    "journal_entries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", text_enum(EntryKind), nullable=False),
    Column("on_date", Date, nullable=False),
    Column("at", _Moment, nullable=False),
    Column("actor_issuer", Text, nullable=False),
    Column("actor_subject", Text, nullable=False),
    Column("case_id", Uuid),
    Column("reason", Text),
    Column("reverses", Uuid, ForeignKey("journal_entries.id")),
    Column("xid", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    # A case is reserved for once, and that ends once, whoever tries at the same time.
    Index(
        "uq_journal_entries_reservation",
        "case_id",
        unique=True,
        postgresql_where=text("kind = 'reservation'"),
    ),
    Index(
        "uq_journal_entries_end",
        "case_id",
        unique=True,
        postgresql_where=text("kind IN ('payment', 'release')"),
    ),
    Index(
        "uq_journal_entries_reverses",
        "reverses",
        unique=True,
        postgresql_where=text("reverses IS NOT NULL"),
    ),
)

journal_lines = Table(
    "journal_lines",
    metadata,
    Column("budget_id", Uuid, ForeignKey("budgets.id"), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("account", text_enum(Account), primary_key=True),
    Column("entry_id", Uuid, ForeignKey("journal_entries.id"), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("available_fen", BigInteger, nullable=False),
    Column("reserved_fen", BigInteger, nullable=False),
    Column("paid_fen", BigInteger, nullable=False),
    CheckConstraint("amount_fen <> 0", name="moves_something"),
    CheckConstraint("available_fen >= 0 AND reserved_fen >= 0 AND paid_fen >= 0", name="not_overdrawn"),
    Index("ix_journal_lines_entry_id", "entry_id"),
)

# Figures and version are written by the journal's statement alone; the mapper never updates a budget.
mapper.map_imperatively(Budget, budgets)
