"""Every query of posts."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, true, tuple_

from membership_service.posts.domain import Holder, Post, Term
from membership_service.posts.tables import posts
from shared.contracts.membership import Role
from shared.database.paths import in_subtree
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound


async def held_by(session: ReadSession, holder: Holder, on: date) -> Sequence[Post]:
    """The posts of a user that hold on a day. The one read of posts that no scope limits: the scope is made of it."""
    found = select(Post).where(posts.c.issuer == holder.issuer, posts.c.subject == holder.subject, _holds(on))
    return (await session.scalars(found.order_by(posts.c.path, posts.c.role))).all()


async def get(session: ReadSession, post_id: UUID) -> Post:
    """A post. Raises NotFound. Rows of posts are not scoped: the caller's rights are checked by its path."""
    return _found(await session.scalar(select(Post).where(posts.c.id == post_id)))


async def get_for_change(session: WriteSession, post_id: UUID) -> Post:
    """A post, locked until the transaction ends. Raises NotFound, also for a post outside the scope of the session."""
    locked = select(Post).where(posts.c.id == post_id).with_for_update(key_share=True)
    return _found(await session.scalar(locked.execution_options(populate_existing=True)))


async def overlaps(
    session: ReadSession, holder: Holder, role: Role, organisation_id: UUID, term: Term
) -> bool:
    """Whether the user holds this role at this unit on some day of the term already."""
    found = select(posts.c.id).where(
        posts.c.issuer == holder.issuer,
        posts.c.subject == holder.subject,
        posts.c.role == role,
        posts.c.organisation_id == organisation_id,
        or_(
            posts.c.ends_on.is_(None),
            and_(posts.c.ends_on >= term.starts_on, posts.c.ends_on >= posts.c.starts_on),
        ),
        true() if term.ends_on is None else posts.c.starts_on <= term.ends_on,
    )
    return await session.scalar(found.limit(1)) is not None


async def any_administrator(session: ReadSession, organisation_id: UUID) -> bool:
    """Whether anybody is, was or will be administrator of a unit."""
    found = select(posts.c.id).where(
        posts.c.organisation_id == organisation_id, posts.c.role == Role.ADMINISTRATOR
    )
    return await session.scalar(found.limit(1)) is not None


async def in_force(
    session: ReadSession, path: str, on: date, after: tuple[str, UUID] | None, limit: int
) -> Sequence[Post]:
    """Up to `limit` posts of a subtree that hold on `on` or later, by path and id, above `after`."""
    page = select(Post).where(
        in_subtree(posts.c.path, path), or_(posts.c.ends_on.is_(None), posts.c.ends_on >= on)
    )
    if after is not None:
        page = page.where(tuple_(posts.c.path, posts.c.id) > after)
    return (await session.scalars(page.order_by(posts.c.path, posts.c.id).limit(limit))).all()


def add(session: WriteSession, post: Post) -> None:
    """Write a new post."""
    session.add(post)


def _holds(on: date) -> ColumnElement[bool]:
    return and_(posts.c.starts_on <= on, or_(posts.c.ends_on.is_(None), posts.c.ends_on >= on))


def _found(post: Post | None) -> Post:
    if post is None:
        raise NotFound("not-found")
    return post
