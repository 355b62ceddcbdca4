"""What one can do with an activity: one function per verb, each in the transaction that it is given.

Order of locks: the activity, then its seats, then registrations.
"""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from events_service.activities import events, opening, repository
from events_service.activities.domain import Activity, HistoryEntry
from events_service.activities.plan import Audience, Plan, Session
from shared.contracts.events_service import ActivityStage
from shared.database.session import ReadSession, WriteSession
from shared.directory.organisations import path_of_organisation, place_of_organisation
from shared.jobs.queue import enqueue
from shared.kernel.errors import Invalid, NotFound
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version

#: The job that takes back what was given in an activity that is cancelled; the slice of registrations carries it out.
CANCEL_REGISTRATIONS: Final = "registrations.cancel"
#: Stages whose activities have rows of seats.
_WITH_SEATS: Final = frozenset(
    {
        ActivityStage.PUBLISHED,
        ActivityStage.OPEN,
        ActivityStage.CLOSED,
        ActivityStage.HELD,
        ActivityStage.ARCHIVED,
        ActivityStage.CANCELLED,
    }
)

Step = Callable[[Activity, By], HistoryEntry]


async def draft(session: WriteSession, caller: Caller, by: By, organisation_id: UUID, plan: Plan) -> Activity:
    """Begin to plan an activity of a unit."""
    path = await place_of_organisation(session, organisation_id)
    if path is None:
        raise NotFound("not-found")
    caller.require(Action.ACTIVITY_CHANGE, path)
    await _require_units(session, plan, path)
    activity, entry = Activity.draft(new_id(), organisation_id, path, plan, by)
    repository.add(session, activity)
    await _record(session, activity, entry, activity.stage)
    return activity


async def change(
    session: WriteSession, caller: Caller, by: By, activity_id: UUID, version: int, plan: Plan
) -> Activity:
    """Change a draft as a whole. Raises Invalid when nothing would change."""
    activity = await take(session, caller, Action.ACTIVITY_CHANGE, activity_id, version)
    await _require_units(session, plan, activity.path)
    await _record(session, activity, activity.change(plan, by), activity.stage)
    return activity


async def amend(
    session: WriteSession,
    caller: Caller,
    by: By,
    activity_id: UUID,
    version: int,
    *,
    place: str | None,
    description: str | None,
    sessions: tuple[Session, ...] | None,
) -> Activity:
    """Change place, text or time of an approved activity."""
    activity = await take(session, caller, Action.ACTIVITY_CHANGE, activity_id, version)
    entry = activity.amend(by, place=place, description=description, sessions=sessions)
    await _record(session, activity, entry, activity.stage)
    return activity


async def step(
    session: WriteSession, caller: Caller, by: By, activity_id: UUID, version: int, do: Step
) -> Activity:
    """Carry out a step of the organiser that needs nothing but the activity."""
    activity = await take(session, caller, Action.ACTIVITY_CHANGE, activity_id, version)
    await carry_out(session, activity, by, do)
    return activity


async def return_(
    session: WriteSession, caller: Caller, by: By, activity_id: UUID, version: int, reason: str
) -> Activity:
    """Give a plan back to be worked over."""
    activity = await take(session, caller, Action.ACTIVITY_APPROVE, activity_id, version)
    await carry_out(session, activity, by, lambda one, who: one.return_(who, reason))
    return activity


async def approve(session: WriteSession, caller: Caller, by: By, activity_id: UUID, version: int) -> Activity:
    """Approve a plan. Raises Forbidden for who made it: four eyes are two persons."""
    activity = await take(session, caller, Action.ACTIVITY_APPROVE, activity_id, version)
    authors = await repository.authors(session, activity_id)
    await carry_out(session, activity, by, lambda one, who: one.approve(who, authors))
    return activity


async def cancel(
    session: WriteSession, caller: Caller, by: By, activity_id: UUID, version: int, reason: str
) -> Activity:
    """Call it off. Registrations are taken back by a job, in chunks: there may be very many."""
    activity = await take(session, caller, Action.ACTIVITY_CHANGE, activity_id, version)
    await carry_out(session, activity, by, lambda one, who: one.cancel(who, reason))
    await enqueue(session, CANCEL_REGISTRATIONS, {"activity_id": str(activity_id)})
    return activity


async def move_on_due(session: WriteSession, by: By, limit: int) -> int:
    """Open, close and hold up to `limit` activities each whose time has come; how many there were."""
    steps: tuple[tuple[ActivityStage, Step], ...] = (
        (ActivityStage.CLOSED, Activity.hold),
        (ActivityStage.OPEN, Activity.close),
        (ActivityStage.PUBLISHED, Activity.open),
    )
    moved = 0
    for stage, do in steps:
        for activity in await repository.due(session, stage, by.at, limit):
            await carry_out(session, activity, by, do)
            moved += 1
    return moved


async def hand_over(
    session: WriteSession, by: By, unit: UUID, heir: UUID, path: str, limit: int
) -> list[UUID]:
    """Give up to `limit` activities of a dissolved unit to another; their ids. Their registrations are to follow."""
    found = await repository.of_unit_for_change(session, unit, limit)
    for activity in found:
        await _record(session, activity, activity.hand_over(heir, path, by), activity.stage, unit)
        await repository.mark_seats(session, activity)
    return [activity.id for activity in found]


async def carry_out(session: WriteSession, activity: Activity, by: By, do: Step) -> None:
    """Do a step with a locked activity: its row, its seats, its history, its event."""
    before = activity.stage
    entry = do(activity, by)
    await _record(session, activity, entry, before)
    if activity.stage is ActivityStage.PUBLISHED:
        await repository.make_seats(session, activity)
        await opening.announce(session, activity, by)
    elif activity.stage in _WITH_SEATS:
        await repository.mark_seats(session, activity)


async def take(
    session: WriteSession, caller: Caller, action: Action, activity_id: UUID, version: int
) -> Activity:
    """The activity, locked, if the caller may do `action` and has seen this version."""
    activity = await repository.get_for_change(session, activity_id)
    caller.require(action, activity.path)
    require_version(version, activity.version)
    return activity


async def record_change(session: WriteSession, activity: Activity, entry: HistoryEntry) -> None:
    """Write a change that another slice made: the row under its version, the history, the event."""
    await _record(session, activity, entry, activity.stage)


async def _record(
    session: WriteSession,
    activity: Activity,
    entry: HistoryEntry,
    previous_stage: ActivityStage,
    previous_organisation_id: UUID | None = None,
) -> None:
    await session.flush()
    repository.add_entry(session, entry)
    session.audit(f"activity.{entry.happening}", "activity", activity.id, path=activity.path)
    event = events.event_of(
        activity, entry, previous_stage, previous_organisation_id or activity.organisation_id
    )
    session.emit(event)


async def _require_units(session: ReadSession, plan: Plan, path: str) -> None:
    """The audience and the units of quotas lie in the subtree of the unit whose activity it is."""
    audience: Audience = plan.audience
    for field, unit in (
        ("audience/organisation_id", audience.organisation_id),
        *(
            (f"quotas/{place}/organisation_id", quota.organisation_id)
            for place, quota in enumerate(plan.quotas)
        ),
    ):
        found = await path_of_organisation(session, unit)
        if found is None or not found.startswith(path):
            raise Invalid("unit-not-below", field=field)
