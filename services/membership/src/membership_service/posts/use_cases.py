"""What one can do with posts, and how authorisation reads them."""

from datetime import date
from uuid import UUID

from membership_service.organisations import repository as organisations
from membership_service.posts import events, repository
from membership_service.posts.domain import Holder, Post, Term
from shared.contracts.membership import Role
from shared.database.session import ReadSession, WriteSession
from shared.kernel.clock import Clock
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.security import policy
from shared.security.acting import By
from shared.security.policy import Action, Caller
from shared.web.caller import PostsRead, PostsReader
from shared.web.conditional import require_version


def posts_reader(clock: Clock) -> PostsReader:
    """How this service, the owner of posts, reads them for authorisation: from its own table, so never stale.

    It runs before there is a scope, for the scope is made of its answer; that is why the application role may read all rows
    of `posts`. Every other read of posts goes through a route that checks the path itself.
    """

    async def read(session: ReadSession, issuer: str, subject: str, on: date) -> PostsRead:
        held = await repository.held_by(session, Holder(issuer, subject), on)
        return PostsRead(
            [policy.Post(post.role, post.organisation_id, post.path) for post in held], clock.now()
        )

    return read


async def grant(
    session: WriteSession,
    caller: Caller,
    by: By,
    *,
    organisation_id: UUID,
    holder: Holder,
    role: Role,
    term: Term,
) -> Post:
    """Give a user a role at a unit."""
    # Grants at one unit come one after the other, or two of the same post could both be the first.
    organisation = await organisations.get_for_change(session, organisation_id)
    caller.require(Action.POST_GRANT, organisation.path)
    organisation.must_stand()
    if await repository.overlaps(session, holder, role, organisation_id, term):
        raise Conflict("post-exists")
    post = Post.grant(
        post_id=new_id(),
        holder=holder,
        role=role,
        organisation_id=organisation_id,
        path=organisation.path,
        term=term,
        by=by,
    )
    write_new(session, post, by)
    return post


def write_new(session: WriteSession, post: Post, by: By) -> None:
    """Write a post that has just been made, its event and its trace in the audit."""
    repository.add(session, post)
    session.emit(events.granted(post, by.at))
    session.audit("post.granted", "post", post.id, {"role": post.role.value}, path=post.path)


async def end(
    session: WriteSession, caller: Caller, by: By, post_id: UUID, version: int, last_day: date | None
) -> Post:
    """Let a post hold until `last_day`; without a day it ends at once."""
    post = await repository.get_for_change(session, post_id)
    caller.require(Action.POST_GRANT, post.path)
    require_version(version, post.version)
    post.end(last_day, by)
    session.emit(events.ended(post, by.at))
    session.audit("post.ended", "post", post.id, {"role": post.role.value}, path=post.path)
    return post
