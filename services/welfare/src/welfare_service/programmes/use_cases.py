"""What one can do with a programme: one function per verb, each in the transaction that it is given."""

from collections.abc import Sequence
from uuid import UUID

from shared.database.session import ReadSession, WriteSession
from shared.directory.members import read_members, read_own_member, require_fresh
from shared.directory.organisations import path_of_organisation, place_of_organisation
from shared.kernel.errors import Invalid, NotFound
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version
from welfare_service.membership_client import MemberDetail
from welfare_service.programmes import events, repository
from welfare_service.programmes.domain import Programme, ProgrammeVersion, Terms
from welfare_service.programmes.eligibility import units_of
from welfare_service.programmes.judging import Judgement, age_on, judge
from welfare_service.programmes.reading import parse
from welfare_service.programmes.repository import BudgetFigures, UnitCount


async def open_programme(
    session: WriteSession, caller: Caller, by: By, organisation_id: UUID, budget_id: UUID, terms: Terms
) -> Programme:
    """Set up a programme of a unit, paid from a budget of that unit."""
    path = await place_of_organisation(session, organisation_id)
    if path is None:
        raise NotFound("not-found")
    caller.require(Action.PROGRAMME_CHANGE, path)
    await _check(session, terms)
    budget = await _budget(session, budget_id, path)
    programme = Programme.open(new_id(), organisation_id, path, budget_id, terms, by.at)
    repository.add(session, programme)
    await record(session, programme, by, budget.allocated_fen)
    return programme


async def change(
    session: WriteSession,
    caller: Caller,
    by: By,
    programme_id: UUID,
    version: int,
    budget_id: UUID,
    terms: Terms,
) -> Programme:
    """Lay down new terms; cases that are decided keep the version they were decided by."""
    programme = await repository.get_for_change(session, programme_id)
    caller.require(Action.PROGRAMME_CHANGE, programme.path)
    require_version(version, programme.version)
    await _check(session, terms)
    if budget_id == programme.budget_id:
        budget = await repository.budget_figures(session, budget_id)
    else:
        budget = await _budget(session, budget_id, programme.path)
    programme.change(terms, budget_id, by.at)
    await record(session, programme, by, budget.allocated_fen if budget else 0)
    return programme


async def running_for_oneself(
    session: WriteSession, caller: Caller, by: By, after: UUID | None, limit: int
) -> Sequence[Programme]:
    """Up to `limit` programmes that the member who is calling can apply for today. Raises NotFound("no-own-member")."""
    member = await read_own_member(session, caller.issuer, caller.subject)
    if member is None:
        raise NotFound("no-own-member")
    await session.widen_scope(member.path)
    return await repository.running_for(session, member.path, by.today, after, limit)


async def preview(
    session: ReadSession, caller: Caller, by: By, programme_id: UUID, organisation_id: UUID | None
) -> tuple[Programme, list[UnitCount], BudgetFigures | None]:
    """Whom it would help in a subtree. Needs the right to read cases there: the number itself tells of hardship."""
    programme = await repository.get(session, programme_id)
    root = programme.path
    if organisation_id is not None:
        found = await path_of_organisation(session, organisation_id)
        if found is None:
            raise NotFound("not-found")
        root = found
    caller.require(Action.CASE_READ, root)
    if not root.startswith(programme.path):
        raise Invalid("programme-not-for-unit", field="organisation_id")
    rule = parse(programme.eligibility)
    counts = await repository.preview(session, rule, programme.id, root, by.today)
    return programme, counts, await repository.budget_figures(session, programme.budget_id)


async def judged(
    session: ReadSession,
    caller: Caller,
    by: By,
    programme_id: UUID,
    detail: MemberDetail,
    seen: int | None,
) -> tuple[Programme, Judgement]:
    """Whether a member may be helped today. Raises StaleReplica when this service knows less than membership or the caller."""
    programme = await repository.get(session, programme_id)
    found = (await read_members(session, [detail.id])).get(detail.id)
    member = require_fresh(found, max(detail.sequence, seen or 0))
    caller.require(Action.CASE_READ, member.path)
    age = age_on(by.today, detail.birth_date)
    return programme, await judge(session, programme, member, age, by.today)


async def record(session: WriteSession, programme: Programme, by: By, budget_fen: int) -> None:
    """Write the programme's present version, what it said, the audit entry, and last the event."""
    await session.flush()
    repository.add_version(session, ProgrammeVersion.of(programme, by))
    verb = "opened" if programme.version == 1 else "changed"
    session.audit(f"programme.{verb}", "programme", programme.id, path=programme.path)
    session.emit(events.event_of(programme, budget_fen))


async def _check(session: WriteSession, terms: Terms) -> None:
    """Raises Invalid for a rule that cannot be meant, or that names a unit nobody knows."""
    named = units_of(parse(terms.eligibility))
    if named - (await repository.paths_of(session, named)).keys():
        raise Invalid("eligibility-unit-unknown", field="eligibility")


async def _budget(session: WriteSession, budget_id: UUID, path: str) -> BudgetFigures:
    """A budget of the unit itself: what an upper unit has given is allocated down first."""
    found = await repository.budget_figures(session, budget_id)
    if found is None or found.path != path:
        raise Invalid("programme-budget-elsewhere", field="budget_id")
    return found
