"""Routes of activities. Thin: parse, call one use case or query, show."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response, status

from events_service.activities import repository, use_cases
from events_service.activities.domain import Activity
from events_service.activities.repository import Filters
from events_service.activities.schemas import (
    ActivityView,
    AmendBody,
    DraftBody,
    EntryView,
    Moment,
    PlanBody,
    ReasonBody,
    sessions_of,
)
from events_service.own import own_member
from shared.contracts.events_service import ActivityStage
from shared.directory.organisations import subtrees
from shared.kernel.errors import NotFound
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Call, Change, Once
from shared.web.conditional import set_etag
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read

router = api_router("/api/v1/activities", "activities")
own_router = api_router("/api/v1/me", "me")


@router.post("", status_code=status.HTTP_201_CREATED)
async def draft(body: DraftBody, call: Once) -> ActivityView:
    """Begin to plan an activity."""
    plan = body.plan(body.organisation_id)
    return _shown(call, await use_cases.draft(call.session, call.caller, call.by, body.organisation_id, plan))


@router.get("")
async def list_activities(
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    organisation: Annotated[UUID | None, Query(description="this unit and all below it")] = None,
    stage: ActivityStage | None = None,
    starts_from: Annotated[Moment | None, Query(description="takes place at or after")] = None,
    starts_to: Annotated[Moment | None, Query(description="takes place before")] = None,
) -> Page[ActivityView]:
    """Activities of a subtree, by place in the tree."""
    within = await subtrees(session, caller, Action.ACTIVITY_READ, organisation)
    filters = Filters(stage=stage, starts_from=starts_from, starts_to=starts_to)
    purpose = f"activities:{within}:{filters}"
    values = page.after(ring, purpose)
    after = (values[0], UUID(values[1])) if values else None
    found = await repository.page(session, within, filters, after, page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda one: [one.path, str(one.id)])
    return Page(items=[ActivityView.of(one) for one in rows], next_cursor=cursor)


@router.get("/{activity_id}")
async def get_activity(
    activity_id: UUID, session: Read, caller: CurrentCaller, response: Response
) -> ActivityView:
    """One activity."""
    activity = await repository.get(session, activity_id)
    caller.require(Action.ACTIVITY_READ, activity.path)
    set_etag(response, activity.version)
    return ActivityView.of(activity)


@router.get("/{activity_id}/history")
async def get_history(
    activity_id: UUID, page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys
) -> Page[EntryView]:
    """What happened to an activity, oldest first."""
    activity = await repository.get(session, activity_id)
    caller.require(Action.ACTIVITY_READ, activity.path)
    purpose = f"activity-history:{activity_id}"
    after = page.after(ring, purpose)
    found = await repository.history(session, activity_id, after[0] if after else 0, page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda entry: [entry.version])
    return Page(items=[EntryView.of(entry) for entry in rows], next_cursor=cursor)


@router.put("/{activity_id}")
async def change(activity_id: UUID, body: PlanBody, call: Change) -> ActivityView:
    """Change a draft as a whole."""
    known = await repository.get(call.session, activity_id)
    plan = body.plan(known.organisation_id)
    activity = await use_cases.change(call.session, call.caller, call.by, activity_id, call.version, plan)
    return _shown(call, activity)


@router.patch("/{activity_id}")
async def amend(activity_id: UUID, body: AmendBody, call: Change) -> ActivityView:
    """Change place, text or time after the approval; those registered are to be told (`changed_at`)."""
    activity = await use_cases.amend(
        call.session,
        call.caller,
        call.by,
        activity_id,
        call.version,
        place=body.place,
        description=body.description,
        sessions=sessions_of(body.sessions) if body.sessions else None,
    )
    return _shown(call, activity)


@router.post("/{activity_id}/approval")
async def approve(activity_id: UUID, call: Change) -> ActivityView:
    """Approve a plan. Not by who made it: four eyes are two persons."""
    activity = await use_cases.approve(call.session, call.caller, call.by, activity_id, call.version)
    return _shown(call, activity)


@router.post("/{activity_id}/return")
async def return_(activity_id: UUID, body: ReasonBody, call: Change) -> ActivityView:
    """Give a plan back to be worked over."""
    activity = await use_cases.return_(
        call.session, call.caller, call.by, activity_id, call.version, body.reason
    )
    return _shown(call, activity)


@router.post("/{activity_id}/cancellation")
async def cancel(activity_id: UUID, body: ReasonBody, call: Change) -> ActivityView:
    """Call it off: all registrations are taken back."""
    activity = await use_cases.cancel(
        call.session, call.caller, call.by, activity_id, call.version, body.reason
    )
    return _shown(call, activity)


def _step_route(path: str, do: use_cases.Step, summary: str) -> None:
    """A route for a step of the organiser that needs nothing but the activity."""

    async def take_step(activity_id: UUID, call: Change) -> ActivityView:
        activity = await use_cases.step(call.session, call.caller, call.by, activity_id, call.version, do)
        return _shown(call, activity)

    take_step.__doc__ = summary
    router.add_api_route(f"/{{activity_id}}/{path}", take_step, methods=["POST"], name=path)


_step_route("submission", Activity.submit, "Ask for approval.")
_step_route("publication", Activity.publish, "Announce it to its audience.")
_step_route("opening", Activity.open, "Take registrations from now on.")
_step_route("closing", Activity.close, "Take no more registrations.")
_step_route("holding", Activity.hold, "It took place.")
_step_route("archiving", Activity.archive, "Nothing more is to be done.")


@own_router.get("/activities")
async def list_for_member(
    page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys, clock: CurrentClock
) -> Page[ActivityView]:
    """Announced activities to come for whose audience the caller's own membership counts, soonest first."""
    member = await own_member(session, caller)
    purpose = f"own-activities:{member.id}"
    values = page.after(ring, purpose)
    after = (datetime.fromisoformat(values[0]), UUID(values[1])) if values else None
    found = await repository.page_for_member(
        session, member.id, member.path, clock.now(), after, page.limit + 1
    )
    rows, cursor = page_of(
        found, page.limit, ring, purpose, lambda one: [one.starts_at.isoformat(), str(one.id)]
    )
    return Page(items=[ActivityView.of(one) for one in rows], next_cursor=cursor)


@own_router.get("/activities/{activity_id}")
async def get_for_member(
    activity_id: UUID, session: Read, caller: CurrentCaller, clock: CurrentClock
) -> ActivityView:
    """One announced activity, for a member of its audience."""
    member = await own_member(session, caller)
    activity = await repository.get(session, activity_id)
    if not await repository.is_welcome(session, activity_id, member.id, clock.now()):
        raise NotFound("not-found")
    return ActivityView.of(activity)


def _shown(call: Call, activity: Activity) -> ActivityView:
    call.leaves(activity.version)
    return ActivityView.of(activity)
