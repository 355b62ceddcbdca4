"""Reads a user's posts from the replica, for authorisation."""

from datetime import UTC, date, datetime

from sqlalchemy import text

from shared.contracts.membership import POSTS, Role
from shared.database.session import ReadSession
from shared.messaging.freshness import as_of
from shared.security.policy import Post
from shared.web.caller import PostsRead, PostsReader

# Not scoped: the scope comes from this very answer.
_POSTS = text("""
    SELECT post.role, post.organisation_id, organisation.path
    FROM directory_posts post JOIN directory_organisations organisation ON organisation.id = post.organisation_id
    WHERE post.issuer = :issuer AND post.subject = :subject AND organisation.path IS NOT NULL
      AND post.starts_on <= :today AND (post.ends_on IS NULL OR post.ends_on >= :today)
    ORDER BY organisation.path, post.role
""")


async def read_posts(session: ReadSession, issuer: str, subject: str, today: date) -> tuple[Post, ...]:
    """The posts that hold on `today` (China date), with the paths of their units; empty for a stranger."""
    rows = await session.execute(_POSTS, {"issuer": issuer, "subject": subject, "today": today})
    return tuple(Post(Role(row.role), row.organisation_id, row.path) for row in rows)


def replica_posts_reader(consumer: str) -> PostsReader:
    """Reads a user's posts, as of what the directory's `consumer` ("welfare.directory") has read."""

    async def read(session: ReadSession, issuer: str, subject: str, today: date) -> PostsRead:
        posts = await read_posts(session, issuer, subject, today)
        # A replica that was never fed is as old as can be.
        return PostsRead(posts, await as_of(session, consumer, POSTS) or datetime.min.replace(tzinfo=UTC))

    return read
