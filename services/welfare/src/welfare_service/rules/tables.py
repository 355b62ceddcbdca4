"""Table of rules. Everybody with a post reads all of them: what a decision rests on is no secret of the unit that set it."""

from sqlalchemy import CheckConstraint, Column, Date, Index, Integer, Table, Text, Uuid
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint

from shared.database.metadata import text_enum
from shared.database.paths import Path
from welfare_service.metadata import mapper, metadata
from welfare_service.rules.domain import Rule, RuleKey

rules = Table(
    "rules",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organisation_id", Uuid, nullable=False),
    Column("path", Path, nullable=False),
    Column("key", text_enum(RuleKey), nullable=False),
    Column("value", JSONB, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    Column("source", Text, nullable=False),
    Column("version", Integer, nullable=False),
    CheckConstraint("valid_to >= valid_from", name="ends_after_start"),
    # One key has one value in one place on one day.
    ExcludeConstraint(
        (sql("organisation_id"), "="),
        (sql("key"), "="),
        (sql("daterange(valid_from, valid_to, '[]')"), "&&"),
        name="ex_rules_validity",
        using="gist",
    ),
    Index("ix_rules_path_id", "path", "id"),
    Index("ix_rules_path_key", "path", "key", "valid_from"),
)

mapper.map_imperatively(Rule, rules, version_id_col=rules.c.version, version_id_generator=False)
