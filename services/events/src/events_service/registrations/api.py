"""Routes of registrations. Thin: parse, call one use case or query, show."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response, status

from events_service.activities import repository as activities
from events_service.activities.schemas import ActivityView, SeatsBody, quotas_of
from events_service.own import own_member
from events_service.registrations import joining, repository, use_cases
from events_service.registrations.schemas import (
    CancelBody,
    CountsView,
    RegisterBody,
    RegisteredReply,
    RegistrationDetail,
    RegistrationView,
)
from shared.contracts.events_service import RegistrationStatus
from shared.kernel.errors import Invalid
from shared.security.acting import By
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Change
from shared.web.conditional import set_etag
from shared.web.hot import Hot
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import Keys, Read, Write

router = api_router("/api/v1/registrations", "registrations")
activity_router = api_router("/api/v1/activities", "registrations")
own_router = api_router("/api/v1/me", "me")


@activity_router.post(
    "/{activity_id}/registrations", status_code=status.HTTP_201_CREATED, response_model=RegisteredReply
)
async def register(activity_id: UUID, body: RegisterBody, hot: Hot) -> Response:
    """Ask for a seat for oneself, or as the organiser for a member: confirmed, on the waiting list, or in the lottery."""
    by = By.caller(hot.caller, hot.claim.now)
    if body.member_id is not None:
        return await joining.register_member(hot, by, activity_id, body.member_id, body.member_sequence)
    if body.member_sequence is not None:
        raise Invalid("member-missing", field="member_id")
    return await joining.register_oneself(hot, by, activity_id)


@activity_router.get("/{activity_id}/registrations")
async def list_registrations(
    activity_id: UUID,
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    status: RegistrationStatus | None = None,
) -> Page[RegistrationView]:
    """Registrations of an activity, by position."""
    activity = await activities.get(session, activity_id)
    caller.require(Action.REGISTRATION_READ, activity.path)
    purpose = f"registrations:{activity_id}:{status}"
    values = page.after(ring, purpose)
    after = (values[0], UUID(values[1])) if values else None
    found = await repository.page_of_activity(session, activity_id, status, after, page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda one: [one.position, str(one.id)])
    return Page(items=[RegistrationView.of(one) for one in rows], next_cursor=cursor)


@activity_router.get("/{activity_id}/registrations/counts")
async def count_registrations(activity_id: UUID, session: Read, caller: CurrentCaller) -> CountsView:
    """How many registrations an activity has in each status."""
    activity = await activities.get(session, activity_id)
    caller.require(Action.ACTIVITY_READ, activity.path)
    return CountsView.of(await repository.counts(session, activity_id))


@activity_router.put("/{activity_id}/seats")
async def change_seats(activity_id: UUID, body: SeatsBody, call: Change) -> ActivityView:
    """Other numbers of seats: new ones go to those who wait, and none falls below what is taken."""
    quotas = quotas_of(body.quotas)
    activity = await use_cases.change_seats(
        call.session, call.caller, call.by, activity_id, call.version, body.capacity, quotas
    )
    call.leaves(activity.version)
    return ActivityView.of(activity)


@router.get("")
async def list_of_member(
    member: Annotated[UUID, Query(description="whose registrations")],
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
) -> Page[RegistrationView]:
    """A member's registrations for activities in the caller's charge, newest first."""
    within = caller.require_somewhere(Action.REGISTRATION_READ)
    purpose = f"registrations-of:{member}:{within}"
    values = page.after(ring, purpose)
    before = UUID(values[0]) if values else None
    found = await repository.page_of_member(session, member, before, page.limit + 1, within=within)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda one: [str(one.id)])
    return Page(items=[RegistrationView.of(one) for one in rows], next_cursor=cursor)


@router.get("/{registration_id}")
async def get_registration(
    registration_id: UUID, session: Write, caller: CurrentCaller, response: Response
) -> RegistrationDetail:
    """One registration: one's own, or of an activity in one's charge. Who waits sees how many stand before."""
    registration = await use_cases.see(session, caller, registration_id, Action.REGISTRATION_READ)
    ahead = await repository.count_ahead(session, registration)
    set_etag(response, registration.version)
    return RegistrationDetail.model_validate(registration).model_copy(update={"ahead": ahead})


@router.post("/{registration_id}/cancellation")
async def cancel(registration_id: UUID, body: CancelBody, call: Change) -> RegistrationView:
    """Give up a place; the first who waits has it."""
    registration = await use_cases.cancel(
        call.session, call.caller, call.by, registration_id, call.version, body.reason
    )
    call.leaves(registration.version)
    return RegistrationView.of(registration)


@own_router.get("/registrations")
async def list_own(
    page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys
) -> Page[RegistrationView]:
    """The caller's own registrations, newest first."""
    member = await own_member(session, caller)
    purpose = f"own-registrations:{member.id}"
    values = page.after(ring, purpose)
    before = UUID(values[0]) if values else None
    found = await repository.page_of_member(session, member.id, before, page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda one: [str(one.id)])
    return Page(items=[RegistrationView.of(one) for one in rows], next_cursor=cursor)
