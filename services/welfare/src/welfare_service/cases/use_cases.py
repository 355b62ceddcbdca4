"""What one can do with an aid case: one function per verb, each in the transaction that it is given.

Order of locks: a unit, then the case (several in order of id), then the member's turn, and last the budget.
"""

from uuid import UUID

from shared.contracts.welfare import CaseStage, DossierStatus
from shared.database.session import ReadSession, WriteSession
from shared.directory.members import MemberReference, read_members, read_own_member, require_fresh
from shared.directory.organisations import place_of_organisation
from shared.kernel.errors import Conflict, Forbidden, NotFound, StaleReplica
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version
from welfare_service.cases import deciding, repository, sealing
from welfare_service.cases.domain import MENDABLE, Act, AidCase, HistoryEntry, upper
from welfare_service.cases.recording import record
from welfare_service.cases.schemas import ApplicationBody, ChangeBody, DraftBody
from welfare_service.dossiers import repository as dossiers
from welfare_service.funds import use_cases as funds
from welfare_service.membership_client import MemberDetail
from welfare_service.programmes import repository as programmes


async def draft(session: WriteSession, caller: Caller, by: By, ring: KeyRing, body: DraftBody) -> AidCase:
    """Begin an application for a member of a unit in one's charge."""
    found = (await read_members(session, [body.member_id])).get(body.member_id)
    if found is not None:
        caller.require(Action.CASE_CHANGE, found.path)
    member = require_fresh(found, body.member_sequence)
    case, entry = await _begin(session, by, ring, member, body, is_own=False)
    await record(session, case, entry)
    return case


async def apply_for_oneself(
    session: WriteSession, caller: Caller, by: By, ring: KeyRing, body: ApplicationBody
) -> AidCase:
    """A member asks for help: drafted and submitted in one step."""
    member = await own_member(session, caller)
    case, entry = await _begin(session, by, ring, member, body, is_own=True)
    await record(session, case, entry)
    await _submit(session, by, case, None)
    return case


async def change(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    case_id: UUID,
    version: int,
    body: ChangeBody,
) -> AidCase:
    """Mend a draft or a returned case; what is left out stays."""
    case = await _take(session, caller, Action.CASE_CHANGE, case_id, version)
    programme = await programmes.get_to_stand_on(session, case.programme_id)
    amount = Fen(case.requested_fen)
    if body.requested_fen is not None:
        amount = programme.amount_of(body.requested_fen)
    private = None
    known = sealing.opened(ring, case)
    if known is not None and body.model_fields_set & {"reason", "payee_name", "account"}:
        plain = sealing.Opened(
            body.reason or known.reason, body.payee_name or known.payee_name, body.account or known.account
        )
        private = sealing.sealed(ring, case.id, plain, sealing.key_of(ring, case))
    dossier_id = await _dossier_of(session, case.member_id)
    await record(session, case, case.change(amount, dossier_id, private, Act(by, by.today)))
    return case


async def submit(
    session: WriteSession, caller: Caller, by: By, case_id: UUID, version: int, detail: MemberDetail
) -> AidCase:
    """Ask for the decision; `detail` is what membership said of the member just before."""
    case = await _take(session, caller, Action.CASE_CHANGE, case_id, version)
    await _submit(session, by, case, detail)
    return case


async def approve(
    session: WriteSession,
    caller: Caller,
    by: By,
    case_id: UUID,
    version: int,
    amount: Fen | None,
    detail: MemberDetail,
) -> AidCase:
    """Grant what is asked for, or less, and reserve it. The budget is locked last, for one statement and the commit."""
    case = await _take(session, caller, Action.CASE_APPROVE, case_id, version)
    await _require_four_eyes(session, caller, case)
    await repository.take_turn(session, case.member_id)
    programme = await programmes.get_to_stand_on(session, case.programme_id)
    granted = Fen(case.requested_fen) if amount is None else amount
    decision = await deciding.decide(session, case, programme, granted, detail, by.today)
    require_level(caller, case, decision.levels_up)
    due = deciding.due_by(decision.rules, CaseStage.APPROVED, by.today)
    entry = case.approve(
        granted, programme.budget_id, decision.levels_up, Act(by, by.today, due), decision.kept
    )
    await record(session, case, entry)
    await funds.reserve(session, programme.budget_id, case.id, granted, by)
    return case


async def send_back(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    case_id: UUID,
    version: int,
    reason: str,
) -> AidCase:
    """Return a submitted case to be mended."""
    case = await _take(session, caller, Action.CASE_APPROVE, case_id, version)
    due = await deciding.due_on(session, case, CaseStage.RETURNED, by.today)
    return await _with_reason(session, ring, case, case.send_back(Act(by, by.today, due)), reason)


async def reject(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    case_id: UUID,
    version: int,
    reason: str,
) -> AidCase:
    """Refuse a submitted case for good. Four eyes here too: it may hurt."""
    case = await _take(session, caller, Action.CASE_APPROVE, case_id, version)
    await _require_four_eyes(session, caller, case)
    return await _with_reason(session, ring, case, case.reject(Act(by, by.today)), reason)


async def withdraw(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    case_id: UUID,
    version: int,
    reason: str | None,
) -> AidCase:
    """The applicant's side takes it back before it is decided."""
    case = await _take(session, caller, Action.CASE_CHANGE, case_id, version)
    return await _with_reason(session, ring, case, case.withdraw(Act(by, by.today)), reason)


async def cancel(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    case_id: UUID,
    version: int,
    reason: str,
) -> AidCase:
    """Stop an approved case before its payment is under way; what is reserved is free again."""
    case = await _take(session, caller, Action.CASE_APPROVE, case_id, version)
    require_level(caller, case, case.levels_up)
    await _with_reason(session, ring, case, case.cancel(Act(by, by.today)), reason)
    if case.budget_id is None:
        raise Conflict("case-not-approved")
    await funds.release(session, case.budget_id, case.id, by)
    return case


async def acknowledge(session: WriteSession, caller: Caller, by: By, case_id: UUID, version: int) -> AidCase:
    """An officer records that the member has received the money."""
    case = await _take(session, caller, Action.CASE_CHANGE, case_id, version)
    await record(session, case, case.acknowledge(Act(by, by.today)))
    return case


async def acknowledge_own(
    session: WriteSession, caller: Caller, by: By, case_id: UUID, version: int
) -> AidCase:
    """The member says so. Raises NotFound for a case of somebody else."""
    member = await own_member(session, caller)
    case = await repository.get_for_change(session, case_id)
    if case.member_id != member.id:
        raise NotFound("not-found")
    require_version(version, case.version)
    await record(session, case, case.acknowledge(Act(by, by.today)))
    return case


async def unflag(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    case_id: UUID,
    version: int,
    reason: str,
) -> AidCase:
    """The holder has looked at what happened to the member, and says why the case may go on."""
    case = await repository.get_for_change(session, case_id)
    action = Action.CASE_CHANGE if case.stage in MENDABLE else Action.CASE_APPROVE
    caller.require(action, case.path)
    require_version(version, case.version)
    return await _with_reason(session, ring, case, case.unflag(Act(by, by.today)), reason)


async def read(session: WriteSession, caller: Caller, case_id: UUID) -> AidCase:
    """One case; that it was read is written down."""
    case = await repository.get(session, case_id)
    caller.require(Action.CASE_READ, case.path)
    session.audit("case.read", "case", case.id, path=case.path)
    return case


async def member_to_ask_about(session: ReadSession, caller: Caller, action: Action, case_id: UUID) -> UUID:
    """Whose birth to ask for before a decision, if the decision is the caller's at all."""
    case = await repository.get(session, case_id)
    caller.require(action, case.path)
    return case.member_id


async def own_member(session: WriteSession, caller: Caller) -> MemberReference:
    """The member who is calling, brought into scope. Raises NotFound("no-own-member")."""
    member = await read_own_member(session, caller.issuer, caller.subject)
    if member is None:
        raise NotFound("no-own-member")
    await session.widen_scope(member.path)
    return member


async def _begin(
    session: WriteSession,
    by: By,
    ring: KeyRing,
    member: MemberReference,
    body: ApplicationBody,
    *,
    is_own: bool,
) -> tuple[AidCase, HistoryEntry]:
    programme = await programmes.get_to_stand_on(session, body.programme_id)
    path = await place_of_organisation(session, member.organisation_id)
    if path is None or await repository.is_dissolved(session, member.organisation_id):
        raise StaleReplica
    programme.must_take_cases(path, by.today)
    case_id = new_id()
    private = sealing.sealed(ring, case_id, sealing.Opened(body.reason, body.payee_name, body.account))
    case = AidCase(
        id=case_id,
        case_number=await repository.next_case_number(session, by.today.year),
        organisation_id=member.organisation_id,
        path=path,
        programme_id=programme.id,
        member_id=member.id,
        dossier_id=await _dossier_of(session, member.id),
        stage_since=by.at,
        requested_fen=programme.amount_of(body.requested_fen),
        drafted_by_issuer=by.issuer,
        drafted_by_subject=by.subject,
        is_own=is_own,
        created_at=by.at,
        updated_at=by.at,
        **{name: getattr(private, name) for name in type(private).__dataclass_fields__},
    )
    entry = case.draft(Act(by, by.today))
    repository.add(session, case)
    return case, entry


async def _dossier_of(session: WriteSession, member_id: UUID) -> UUID | None:
    """The open file of the member's household, wherever it is kept."""
    standing = await dossiers.find_of_member(session, member_id)
    return standing.id if standing is not None and standing.status is DossierStatus.OPEN else None


async def _submit(session: WriteSession, by: By, case: AidCase, detail: MemberDetail | None) -> None:
    programme = await programmes.get_to_stand_on(session, case.programme_id)
    programme.must_take_cases(case.path, by.today)
    amount = programme.amount_of(case.requested_fen)
    decision = await deciding.decide(session, case, programme, amount, detail, by.today)
    due = deciding.due_by(decision.rules, CaseStage.SUBMITTED, by.today)
    await record(
        session, case, case.submit(amount, decision.levels_up, Act(by, by.today, due), decision.kept)
    )


async def _take(
    session: WriteSession, caller: Caller, action: Action, case_id: UUID, version: int
) -> AidCase:
    """The case, locked, if the caller may do `action` and has seen this version."""
    case = await repository.get_for_change(session, case_id)
    caller.require(action, case.path)
    require_version(version, case.version)
    return case


async def _require_four_eyes(session: WriteSession, caller: Caller, case: AidCase) -> None:
    """Raises Forbidden("four-eyes") for whoever had a hand in the case, and for the member whom it helps."""
    own = await read_own_member(session, caller.issuer, caller.subject)
    case.must_be_decided_by_another(
        (caller.issuer, caller.subject),
        await repository.touched_by(session, case.id),
        is_beneficiary=own is not None and own.id == case.member_id,
    )


def require_level(caller: Caller, case: AidCase, levels_up: int) -> None:
    """A large amount is approved so many units above; raises Forbidden for a post that is not high enough."""
    if not caller.allows(Action.CASE_APPROVE, upper(case.path, levels_up)):
        raise Forbidden("approval-level-too-low", levels=levels_up)


async def _with_reason(
    session: WriteSession, ring: KeyRing, case: AidCase, entry: HistoryEntry, reason: str | None
) -> AidCase:
    """Record a step with the reason that a person gave."""
    sealing.seal_reason(ring, case, entry, reason)
    await record(session, case, entry)
    return case
