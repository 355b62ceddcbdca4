"""Tables of the directory replica; a service other than the owner of these facts adds them to its metadata."""

from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Index,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
)

from shared.database.paths import Path


class DirectoryTables(NamedTuple):
    """The two replicas."""

    organisations: Table
    posts: Table


def directory_tables(metadata: MetaData) -> DirectoryTables:
    """Declare the replicas in `metadata`.

    `path` is null while an ancestor is still unknown: such a unit is in nobody's scope yet.
    """
    organisations = Table(
        "directory_organisations",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("number", BigInteger, nullable=False),
        Column("code", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("parent_id", Uuid),
        Column("path", Path),
        Column("founded_on", Date, nullable=False),
        Column("dissolved_on", Date),
        Column("sequence", BigInteger, nullable=False),
        Index("ix_directory_organisations_parent_id", "parent_id"),
        Index("ix_directory_organisations_path", "path"),
    )
    posts = Table(
        "directory_posts",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("issuer", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("organisation_id", Uuid, nullable=False),
        Column("starts_on", Date, nullable=False),
        Column("ends_on", Date),
        Column("sequence", BigInteger, nullable=False),
        Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Index("ix_directory_posts_subject_issuer", "subject", "issuer"),
    )
    return DirectoryTables(organisations, posts)


def member_references(metadata: MetaData) -> Table:
    """Declare the replica of members: what may be known of them outside membership.

    There is no path: a member is found through the unit, so that a moved subtree touches no member.
    """
    return Table(
        "directory_members",
        metadata,
        Column("id", Uuid, primary_key=True),
        Column("organisation_id", Uuid, nullable=False),
        Column("status", Text, nullable=False),
        Column("gender", Text, nullable=False),
        Column("birth_year", SmallInteger),
        Column("employment_form", Text, nullable=False),
        Column("joined_on", Date),
        Column("left_on", Date),
        Column("user_issuer", Text),
        Column("user_subject", Text),
        Column("sequence", BigInteger, nullable=False),
        Index("ix_directory_members_organisation_id", "organisation_id"),
        Index("ix_directory_members_user", "user_subject", "user_issuer"),
    )
