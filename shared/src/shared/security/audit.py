"""Who read and who changed: every audited transaction inserts one plain row; a chainer links the rows afterwards.

Rows of parallel transactions cannot be chained while they are written (each would wait for the last), so `audit_entries`
is unchained and `shared.security.chain`, run every few seconds, gives each committed entry its position in `audit_chain`.
The hash of a link is an HMAC under the ring's audit key over the link before it, the position and the whole entry: who can
write to the database but has no key can neither change, drop, insert nor reorder. Cutting off the end needs a witness outside:
the head, kept elsewhere and given back to `verify_chain`.

Both tables are insert-only for the application and the worker (`AUDIT_GRANTS`).
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.database.scope import policy_ddl
from shared.database.types import Xid8

#: What each role may do, table by table; the migration of the shared tables grants exactly this.
AUDIT_GRANTS: dict[str, dict[str, tuple[str, ...]]] = {
    "audit_entries": {"app": ("SELECT", "INSERT"), "worker": ("SELECT", "INSERT")},
    "audit_chain": {"app": ("SELECT",), "worker": ("SELECT", "INSERT")},
}


def audit_tables(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Declare `audit_entries` and `audit_chain` in `metadata` and return them.

    `actor_issuer` and `actor_subject` name the user at the identity provider, or "system" and the job or consumer.
    `path` is the organisation path the act belongs to, NULL when it belongs to none; it filters what an auditor sees.
    `details` holds ids, codes and reasons, never a value that a person would mind.
    """
    entries = sa.Table(
        "audit_entries",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("xid", Xid8, nullable=False, server_default=sa.text("pg_current_xact_id()")),
        sa.Column(
            "at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")
        ),
        sa.Column("actor_issuer", sa.Text, nullable=False),
        sa.Column("actor_subject", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject_kind", sa.Text, nullable=False),
        sa.Column("subject_id", pg.UUID(as_uuid=True), nullable=False),
        sa.Column("path", sa.Text(collation="C")),
        sa.Column("details", pg.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Index("ix_audit_entries_subject", "subject_id", "id"),
        sa.Index("ix_audit_entries_path", "path", "id"),
        sa.Index("ix_audit_entries_xid", "xid"),
    )
    chain = sa.Table(
        "audit_chain",
        metadata,
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        # No foreign key: a deleted entry must leave its link behind as the proof.
        sa.Column("entry_id", sa.BigInteger, nullable=False, unique=True),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        # Every entry of a transaction below this one was already linked when this link was made.
        sa.Column("linked_below", Xid8, nullable=False),
        sa.Column(
            "linked_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        ),
    )
    return entries, chain


def audit_policies(service: str) -> list[str]:
    """DDL: the application writes any entry but reads only those of its scope; one without a path is for the worker alone."""
    return [
        *policy_ddl("audit_entries", service),
        f"CREATE POLICY audit_entries_insert ON audit_entries FOR INSERT TO unionhall_{service}_app WITH CHECK (true)",
    ]
