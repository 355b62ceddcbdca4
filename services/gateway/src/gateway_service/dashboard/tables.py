"""Tables of the dashboard view. Each is partitioned into two slots: one is live, the other is where a rebuild grows.

How the figures fit together: a unit's *own* differences (`dashboard_own`) times who stands above it from when to when
(`dashboard_ancestry`) give the totals of every ancestor (`dashboard_totals`). Both factors change by events; the totals follow
with the product of what changed, so they are the same in whatever order the topics arrive.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import DATERANGE

from gateway_service.dashboard.weighed import tables as weighed
from gateway_service.metadata import metadata

SLOTTED = (
    "dashboard_members",
    "dashboard_tree",
    "dashboard_ancestry",
    "dashboard_own",
    "dashboard_totals",
    *weighed.SLOTTED,
)
_IN_SLOTS = "LIST (slot)"
_Cell = Text(collation="C")

# One row. Its lock orders the batches of the views' consumer and the switch of a rebuild.
dashboard_state = Table(
    "dashboard_state",
    metadata,
    Column("id", Boolean, CheckConstraint("id", name="only_row"), primary_key=True, server_default="true"),
    Column("live", SmallInteger, nullable=False, server_default="0"),
    Column("building", SmallInteger),
    Column("built_up_to", BigInteger, nullable=False, server_default="0"),
    Column("switched_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

dashboard_members = Table(
    "dashboard_members",
    metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("member_id", Uuid, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("day", Date, nullable=False),
    Column("organisation_id", Uuid, nullable=False),
    Column("status", Text),
    Column("gender", Text, nullable=False),
    Column("birth_year", Integer),
    Column("employment_form", Text, nullable=False),
    postgresql_partition_by=_IN_SLOTS,
)

dashboard_tree = Table(
    "dashboard_tree",
    metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("organisation_id", Uuid, primary_key=True),
    Column("during", DATERANGE, primary_key=True),
    Column("parent_id", Uuid),
    postgresql_partition_by=_IN_SLOTS,
)

dashboard_ancestry = Table(
    "dashboard_ancestry",
    metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("organisation_id", Uuid, primary_key=True),
    Column("ancestor_id", Uuid, primary_key=True),
    Column("during", DATERANGE, primary_key=True),
    Index("ix_dashboard_ancestry_ancestor_id", "slot", "ancestor_id"),
    postgresql_partition_by=_IN_SLOTS,
)

dashboard_own = Table(
    "dashboard_own",
    metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("organisation_id", Uuid, primary_key=True),
    Column("cell", _Cell, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("change", BigInteger, nullable=False),
    postgresql_partition_by=_IN_SLOTS,
)

# `count` is what changed on `day`; of a stock, the day "infinity" holds what stands after all changes.
dashboard_totals = Table(
    "dashboard_totals",
    metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("organisation_id", Uuid, primary_key=True),
    Column("cell", _Cell, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Index(
        "ix_dashboard_totals_standing",
        "slot",
        "organisation_id",
        "cell",
        postgresql_where=text("day = 'infinity'"),
    ),
    postgresql_partition_by=_IN_SLOTS,
)
