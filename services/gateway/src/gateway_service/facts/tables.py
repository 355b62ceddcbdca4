"""The facts and where each member is now (which decides who may read the member's timeline)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from gateway_service.metadata import metadata

# `id` follows the order of commits: the views' consumer appends under the lock of `dashboard_state`.
facts = Table(
    "facts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", Uuid, nullable=False),
    Column("topic", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("subject", Uuid, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("member_id", Uuid),
    Column("data", JSONB),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("subject", "sequence", name="uq_facts_subject_sequence"),
    Index("ix_facts_member_id_time", "member_id", "time", "id"),
)

# Whom a fact concerns that is about several members at once (a dossier); the others have theirs in `facts.member_id`.
fact_members = Table(
    "fact_members",
    metadata,
    Column("fact_id", BigInteger, primary_key=True, autoincrement=False),
    Column("member_id", Uuid, primary_key=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Index("ix_fact_members_member_id_time", "member_id", "time", "fact_id"),
)

# Of a member who is `erased`, the application reads no fact but the erasure (row-level security of `facts`).
member_places = Table(
    "member_places",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("organisation_id", Uuid, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("erased", Boolean, nullable=False, server_default="false"),
)
