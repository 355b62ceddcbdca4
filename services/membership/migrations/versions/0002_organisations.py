"""Organisations with their history and plans, enterprises, posts."""

import sqlalchemy as sa
from alembic import op

from shared.database.migrations import grant
from shared.database.scope import policy_ddl

revision = "0002_organisations"
down_revision = "0001_shared"
branch_labels = None
depends_on = None

_TABLES = ("organisations", "organisation_history", "organisation_plans", "enterprises", "posts")


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("organisation_numbers")))
    _organisations()
    _organisation_history()
    _organisation_plans()
    _enterprises()
    _posts()
    for table in _TABLES:
        for statement in policy_ddl(table, "membership"):
            op.execute(statement)
        grant(op, "membership", table, app="SELECT, INSERT, UPDATE", worker="SELECT, INSERT, UPDATE")
    grant(op, "membership", "SEQUENCE organisation_numbers", app="USAGE", worker="USAGE")
    # A caller's scope is made of his posts, so they are read before there is a scope; writing them stays under it.
    op.execute("CREATE POLICY posts_read ON posts FOR SELECT TO unionhall_membership_app USING (true)")


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)
    op.execute("DROP SEQUENCE organisation_numbers")


def _organisations() -> None:
    op.create_table(
        "organisations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("parent_id", sa.Uuid()),
        sa.Column("parent_since", sa.Date(), nullable=False),
        sa.Column("founded_on", sa.Date(), nullable=False),
        sa.Column("dissolved_on", sa.Date()),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["organisations.id"], name="fk_organisations_parent_id_organisations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_organisations"),
        sa.UniqueConstraint("code", name="uq_organisations_code"),
        sa.UniqueConstraint("number", name="uq_organisations_number"),
        sa.UniqueConstraint("path", name="uq_organisations_path"),
    )
    op.create_index("ix_organisations_parent_id_number", "organisations", ["parent_id", "number"])
    op.create_index(
        "uq_organisations_root",
        "organisations",
        ["parent_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=sa.text("parent_id IS NULL"),
    )


def _organisation_history() -> None:
    op.create_table(
        "organisation_history",
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("happening", sa.String(32), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date()),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_issuer", sa.Text(), nullable=False),
        sa.Column("recorded_subject", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("parent_id", sa.Uuid()),
        sa.Column("successor_id", sa.Uuid()),
        sa.Column("dissolved", sa.Boolean(), nullable=False),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name="fk_organisation_history_organisation_id_organisations",
        ),
        sa.PrimaryKeyConstraint("organisation_id", "version", name="pk_organisation_history"),
    )
    op.create_index("ix_organisation_history_parent_id", "organisation_history", ["parent_id", "valid_from"])
    op.create_index("ix_organisation_history_path", "organisation_history", ["path"])


def _organisation_plans() -> None:
    op.create_table(
        "organisation_plans",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("planned_issuer", sa.Text(), nullable=False),
        sa.Column("planned_subject", sa.Text(), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("refusal", sa.Text()),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name="fk_organisation_plans_organisation_id_organisations",
        ),
        sa.ForeignKeyConstraint(
            ["target_id"], ["organisations.id"], name="fk_organisation_plans_target_id_organisations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_organisation_plans"),
    )
    op.create_index(
        "ix_organisation_plans_due",
        "organisation_plans",
        ["effective_on"],
        postgresql_where=sa.text("state = 'planned'"),
    )
    op.create_index("ix_organisation_plans_path", "organisation_plans", ["path"])
    op.create_index(
        "uq_organisation_plans_planned",
        "organisation_plans",
        ["organisation_id"],
        unique=True,
        postgresql_where=sa.text("state = 'planned'"),
    )


def _enterprises() -> None:
    op.create_table(
        "enterprises",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("credit_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("industry", sa.Text(), nullable=False),
        sa.Column("ownership", sa.String(32), nullable=False),
        sa.Column("headcount", sa.Integer(), nullable=False),
        sa.Column("women", sa.Integer(), nullable=False),
        sa.Column("migrant_workers", sa.Integer(), nullable=False),
        sa.Column("dispatched_workers", sa.Integer(), nullable=False),
        sa.Column("unionised", sa.Boolean(), nullable=False),
        sa.Column("verified_on", sa.Date(), nullable=False),
        sa.Column("area_id", sa.Uuid(), nullable=False),
        sa.Column("organisation_id", sa.Uuid()),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("headcount >= 0", name="ck_enterprises_headcount"),
        sa.ForeignKeyConstraint(
            ["area_id"], ["organisations.id"], name="fk_enterprises_area_id_organisations"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_enterprises_organisation_id_organisations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_enterprises"),
        sa.UniqueConstraint("credit_code", name="uq_enterprises_credit_code"),
    )
    op.create_index("ix_enterprises_path_id", "enterprises", ["path", "id"])


def _posts() -> None:
    op.create_table(
        "posts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("organisation_id", sa.Uuid(), nullable=False),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("ends_on >= starts_on - 1", name="ck_posts_ends_on"),
        sa.ForeignKeyConstraint(
            ["organisation_id"], ["organisations.id"], name="fk_posts_organisation_id_organisations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_posts"),
    )
    op.create_index("ix_posts_path_id", "posts", ["path", "id"])
    op.create_index("ix_posts_subject_issuer", "posts", ["subject", "issuer"])
