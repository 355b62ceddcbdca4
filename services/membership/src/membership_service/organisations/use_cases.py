"""What one can do with the tree: one function per verb, each in the transaction that it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from membership_service.organisations import events, repository
from membership_service.organisations.domain import Happening, Organisation, Plan, PlanKind, effective_day
from shared.contracts.membership import OrganisationKind
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import Conflict, DomainError, Forbidden
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version


@dataclass(frozen=True, slots=True)
class MovePreview:
    """What a move would take along: units and their dependents by kind, and the units nearest to the top."""

    affected: Mapping[str, int]
    first_units: tuple[Organisation, ...]


async def create(
    session: WriteSession,
    caller: Caller,
    by: By,
    *,
    parent_id: UUID,
    code: str,
    name: str,
    kind: OrganisationKind,
    founded_on: date,
) -> Organisation:
    """Found a unit under `parent_id`."""
    parent = await repository.get_to_stand_on(session, parent_id)
    caller.require(Action.ORGANISATION_CHANGE, parent.path)
    organisation = Organisation.found(
        organisation_id=new_id(),
        numbered=await repository.next_numbered(session, parent.path),
        code=code,
        name=name,
        kind=kind,
        parent=parent,
        founded_on=founded_on,
        today=by.today,
    )
    await write_new(session, [organisation], by)
    return organisation


async def write_new(session: WriteSession, organisations: Sequence[Organisation], by: By) -> None:
    """Write units that have just been made, parents first: the rows, their histories, events and traces in the audit."""
    await repository.add(session, organisations)
    await repository.begin_histories(session, organisations, by)
    for organisation in organisations:
        session.emit(events.created(organisation, by.at))
        session.audit("organisation.created", "organisation", organisation.id, path=organisation.path)


async def rename(
    session: WriteSession,
    caller: Caller,
    by: By,
    organisation_id: UUID,
    version: int,
    *,
    name: str,
    kind: OrganisationKind,
) -> Organisation:
    """Give a unit another name or kind, from today."""
    organisation = await _to_change(session, caller, organisation_id, version)
    parent = await repository.get_parent(session, organisation)
    if kind is not organisation.kind and parent is None and organisation.parent_id is not None:
        # The level is judged against the parent, so it is for those who see the parent to change it.
        raise Forbidden("organisation-kind-by-parent")
    organisation.rename(name=name, kind=kind, parent=parent)
    await repository.record(session, organisation, Happening.RENAMED, by.today, by)
    session.emit(events.renamed(organisation, by.at))
    session.audit("organisation.renamed", "organisation", organisation.id, path=organisation.path)
    return organisation


async def preview_move(
    session: ReadSession, caller: Caller, organisation_id: UUID, parent_id: UUID
) -> MovePreview:
    """Who would move along. Raises what the move itself would raise."""
    organisation = await repository.get(session, organisation_id)
    parent = await repository.get(session, parent_id)
    caller.require(Action.ORGANISATION_CHANGE, organisation.path)
    caller.require(Action.ORGANISATION_CHANGE, parent.path)
    organisation.must_be_movable(parent)
    units = await repository.subtree(session, organisation.path, after="", limit=20)
    return MovePreview(await repository.affected_below(session, organisation.path), tuple(units))


async def move(
    session: WriteSession,
    caller: Caller,
    by: By,
    organisation_id: UUID,
    version: int,
    *,
    parent_id: UUID,
    on: date | None,
) -> tuple[Organisation, Plan | None]:
    """Put a unit, with all below it, under another parent: at once if `on` is today, else as a plan for that day."""
    await repository.lock_tree(session)
    organisation = await _to_change(session, caller, organisation_id, version)
    parent = await repository.get_to_stand_on(session, parent_id)
    caller.require(Action.ORGANISATION_CHANGE, parent.path)
    day = effective_day(on, by.today)
    if day > by.today:
        organisation.must_be_movable(parent)
        return organisation, await _plan(session, organisation, PlanKind.MOVE, parent_id, day, by)
    await _move(session, organisation, parent, day, by)
    return organisation, None


async def dissolve(
    session: WriteSession,
    caller: Caller,
    by: By,
    organisation_id: UUID,
    version: int,
    *,
    successor_id: UUID,
    on: date | None,
) -> tuple[Organisation, Plan | None]:
    """End a unit on which nothing stands any more: at once if `on` is today, else as a plan for that day.

    For a plan only the unit itself is checked now; what stands on it has until that day to move.
    """
    organisation = await _to_change(session, caller, organisation_id, version)
    successor = await repository.get_to_stand_on(session, successor_id)
    caller.require(Action.ORGANISATION_READ, successor.path)
    day = effective_day(on, by.today)
    if day > by.today:
        organisation.must_be_dissolvable(successor, {})
        return organisation, await _plan(session, organisation, PlanKind.DISSOLVE, successor_id, day, by)
    await _dissolve(session, organisation, successor, day, by)
    return organisation, None


async def cancel_plan(session: WriteSession, caller: Caller, organisation_id: UUID, plan_id: UUID) -> Plan:
    """Take a plan back before its day."""
    organisation = await repository.get(session, organisation_id)
    caller.require(Action.ORGANISATION_CHANGE, organisation.path)
    plan = await repository.get_plan(session, organisation, plan_id)
    plan.cancel()
    session.audit(
        "organisation.plan-cancelled",
        "organisation",
        organisation.id,
        {"plan": str(plan.id)},
        path=organisation.path,
    )
    return plan


async def carry_out_next_plan(session: WriteSession, by: By) -> bool:
    """Do the oldest plan that is due, in the name of the system; False when none is left.

    A plan that the rules no longer allow is refused and says why; it does not stand in the way of the others.
    """
    await repository.lock_tree(session)
    plan = await repository.next_due_plan(session, by.today)
    if plan is None:
        return False
    organisation = await repository.get_for_change(session, plan.organisation_id)
    target = await repository.get_to_stand_on(session, plan.target_id)
    try:
        if plan.kind is PlanKind.MOVE:
            await _move(session, organisation, target, plan.effective_on, by)
        else:
            await _dissolve(session, organisation, target, plan.effective_on, by)
    except DomainError as refusal:
        # Rules are judged before anything is written, so what this session holds is still clean.
        plan.refuse(refusal.code)
    else:
        plan.carry_out()
    return True


async def _to_change(
    session: WriteSession, caller: Caller, organisation_id: UUID, version: int
) -> Organisation:
    organisation = await repository.get_for_change(session, organisation_id)
    caller.require(Action.ORGANISATION_CHANGE, organisation.path)
    require_version(version, organisation.version)
    return organisation


async def _plan(
    session: WriteSession, organisation: Organisation, kind: PlanKind, target_id: UUID, day: date, by: By
) -> Plan:
    if await repository.has_open_plan(session, organisation):
        raise Conflict("organisation-already-planned")
    plan = Plan(
        id=new_id(),
        organisation_id=organisation.id,
        kind=kind,
        target_id=target_id,
        effective_on=day,
        planned_issuer=by.issuer,
        planned_subject=by.subject,
        planned_at=by.at,
        path=organisation.path,
    )
    repository.add_plan(session, plan)
    session.audit(
        f"organisation.{kind.value}-planned",
        "organisation",
        organisation.id,
        {"plan": str(plan.id)},
        path=organisation.path,
    )
    return plan


async def _move(
    session: WriteSession, organisation: Organisation, parent: Organisation, day: date, by: By
) -> None:
    previous_parent_id, previous_path = organisation.parent_id, organisation.path
    organisation.move(parent, path=repository.path_for(parent, organisation.number), on=day)
    if previous_parent_id is None:
        raise AssertionError("the root never moves")
    await repository.move_along(session, previous_path, organisation.path)
    await repository.record(session, organisation, Happening.MOVED, day, by)
    session.emit(events.moved(organisation, previous_parent_id, by.at))
    session.audit(
        "organisation.moved",
        "organisation",
        organisation.id,
        {"from": str(previous_parent_id)},
        path=organisation.path,
    )


async def _dissolve(
    session: WriteSession, organisation: Organisation, successor: Organisation, day: date, by: By
) -> None:
    organisation.dissolve(successor, await repository.standing_on(session, organisation), on=day)
    chapter = await repository.record(session, organisation, Happening.DISSOLVED, day, by)
    chapter.successor_id = successor.id
    session.emit(events.dissolved(organisation, successor.id, by.at))
    session.audit(
        "organisation.dissolved",
        "organisation",
        organisation.id,
        {"successor": str(successor.id)},
        path=organisation.path,
    )
