"""Posts. Row-level security guards writing alone: reading them is how a caller's scope is found in the first place."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    cast,
    func,
    or_,
)

from membership_service.metadata import mapper, metadata
from membership_service.organisations.dependents import Dependents, register
from membership_service.posts.domain import Post
from shared.contracts.membership import Role
from shared.database.metadata import text_enum
from shared.database.paths import Path

posts = Table(
    "posts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("role", text_enum(Role), nullable=False),
    Column("organisation_id", Uuid, ForeignKey("organisations.id"), nullable=False),
    Column("path", Path, nullable=False),
    Column("starts_on", Date, nullable=False),
    # A post that was taken back on its first day ended the day before it began: it held on no day at all.
    Column("ends_on", Date, CheckConstraint("ends_on >= starts_on - 1", name="ends_on")),
    Column("version", Integer, nullable=False),
    Index("ix_posts_subject_issuer", "subject", "issuer"),
    Index("ix_posts_path_id", "path", "id"),
)

# Versions are counted by the domain (one version is one event); the mapper adds the compare to every UPDATE.
mapper.map_imperatively(Post, posts, version_id_col=posts.c.version, version_id_generator=False)

register(
    Dependents(
        name="posts",
        table=posts,
        organisation=(posts.c.organisation_id,),
        live=or_(
            posts.c.ends_on.is_(None),
            posts.c.ends_on >= cast(func.timezone("Asia/Shanghai", func.now()), Date),
        ),
    )
)
