"""Routes of posts, and who the caller is."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response, status

from membership_service.organisations import repository as organisations
from membership_service.organisations.schemas import OrganisationView
from membership_service.posts import repository, use_cases
from membership_service.posts.domain import Holder, Term
from membership_service.posts.schemas import EndPost, GrantPost, Me, OwnPost, PostView
from shared.security.acting import By
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.conditional import IfMatch, set_etag
from shared.web.idempotency import Idempotent
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read, Write

router = api_router("/api/v1/posts", "posts")
me_router = api_router("/api/v1/me", "me")


@router.post("", status_code=status.HTTP_201_CREATED)
async def grant_post(
    body: GrantPost,
    _key: Idempotent,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    response: Response,
) -> PostView:
    """Give a user a role at a unit."""
    post = await use_cases.grant(
        session,
        caller,
        By.caller(caller, clock.now()),
        organisation_id=body.organisation_id,
        holder=Holder(body.issuer, body.subject),
        role=body.role,
        term=Term(body.starts_on, body.ends_on),
    )
    set_etag(response, post.version)
    return PostView.of(post)


@router.get("")
async def list_posts(
    organisation: Annotated[
        UUID, Query(description="the unit whose posts, with those of all below it, are listed")
    ],
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    clock: CurrentClock,
    ring: Keys,
) -> Page[PostView]:
    """The posts at a unit and all below it that hold today or later."""
    top = await organisations.get(session, organisation)
    caller.require(Action.POST_READ, top.path)
    purpose = f"posts:{top.id}"
    after = page.after(ring, purpose)
    today = By.caller(caller, clock.now()).today
    found = await repository.in_force(
        session, top.path, today, (after[0], UUID(after[1])) if after else None, page.limit + 1
    )
    posts, cursor = page_of(found, page.limit, ring, purpose, lambda post: [post.path, str(post.id)])
    return Page(items=[PostView.of(post) for post in posts], next_cursor=cursor)


@router.get("/{post_id}")
async def get_post(post_id: UUID, session: Read, caller: CurrentCaller, response: Response) -> PostView:
    """A post."""
    post = await repository.get(session, post_id)
    caller.require(Action.POST_READ, post.path)
    set_etag(response, post.version)
    return PostView.of(post)


@router.post("/{post_id}/end")
async def end_post(
    post_id: UUID,
    body: EndPost,
    version: IfMatch,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    response: Response,
) -> PostView:
    """End a post."""
    by = By.caller(caller, clock.now())
    post = await use_cases.end(session, caller, by, post_id, version, body.ends_on)
    set_etag(response, post.version)
    return PostView.of(post)


@me_router.get("")
async def who_am_i(session: Read, caller: CurrentCaller) -> Me:
    """The caller, with the posts that hold today."""
    units = await organisations.get_many(session, {post.organisation_id for post in caller.posts})
    by_id = {unit.id: OrganisationView.of(unit) for unit in units}
    posts = [OwnPost(role=post.role, organisation=by_id[post.organisation_id]) for post in caller.posts]
    return Me(issuer=caller.issuer, subject=caller.subject, posts=posts)
