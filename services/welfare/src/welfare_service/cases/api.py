"""Routes of aid cases. Thin: parse, call one use case or query, show."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query, Request, Response, status

from shared.contracts.welfare import CaseStage
from shared.directory.organisations import subtrees
from shared.kernel.money import Fen
from shared.security.acting import By
from shared.security.policy import Action, Caller
from shared.web.caller import CurrentCaller
from shared.web.change import Change, Once
from shared.web.conditional import IfMatch, set_etag
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read, Write, database_of, transaction
from welfare_service.cases import approving, recomputing, repository, sealing, use_cases
from welfare_service.cases.domain import AidCase
from welfare_service.cases.repository import Filters
from welfare_service.cases.schemas import (
    ApplicationBody,
    ApprovalBody,
    CaseReply,
    ChangeBody,
    DecisionReply,
    DetailReply,
    DraftBody,
    HistoryReply,
    NoteBody,
    ReasonBody,
)
from welfare_service.cases.work import rights_of
from welfare_service.membership_client import Membership

router = api_router("/api/v1/cases", "cases")
own_router = api_router("/api/v1/me/cases", "me")


@router.post("", status_code=status.HTTP_201_CREATED)
async def draft(body: DraftBody, call: Once) -> CaseReply:
    """Begin an application for a member."""
    case = await use_cases.draft(call.session, call.caller, call.by, call.ring, body)
    return _shown(case, call.response)


async def filters_of(
    stage: CaseStage | None = None,
    programme: UUID | None = None,
    member: UUID | None = None,
    flagged: Annotated[bool, Query(description="only those to be looked at")] = False,  # noqa: FBT002
) -> Filters:
    """What the query string asks for."""
    return Filters(stage=stage, programme_id=programme, member_id=member, is_flagged=flagged)


@router.get("")
async def list_cases(
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    filters: Annotated[Filters, Depends(filters_of)],
    organisation: Annotated[UUID | None, Query(description="this unit and all below it")] = None,
    holder: Annotated[Literal["mine"] | None, Query(description="only what waits for the caller")] = None,
) -> Page[CaseReply]:
    """Cases of a subtree, by place in the tree."""
    within = await subtrees(session, caller, Action.CASE_READ, organisation)
    mine = rights_of(caller) if holder else None
    purpose = f"cases:{within}:{filters}:{mine}"
    values = page.after(ring, purpose)
    after = (values[0], UUID(values[1])) if values else None
    found = await repository.page(session, within, filters, mine, after, page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda case: [case.path, str(case.id)])
    return Page(items=[CaseReply.of(case) for case in rows], next_cursor=cursor)


@router.get("/{case_id}")
async def get_case(
    case_id: UUID, session: Write, caller: CurrentCaller, ring: Keys, response: Response
) -> DetailReply:
    """One case. The reading is audited; why help is needed is for those who work on it."""
    case = await use_cases.read(session, caller, case_id)
    set_etag(response, case.version)
    return DetailReply.detail(case, sealing.opened(ring, case) if _works_on(caller, case) else None)


@router.get("/{case_id}/history")
async def get_history(
    case_id: UUID, page: PageQuery, session: Write, caller: CurrentCaller, ring: Keys
) -> Page[HistoryReply]:
    """What happened to a case, oldest first. The reading is audited."""
    case = await use_cases.read(session, caller, case_id)
    purpose = f"case-history:{case_id}"
    after = page.after(ring, purpose)
    found = await repository.history(session, case_id, after[0] if after else 0, page.limit + 1)
    entries, cursor = page_of(found, page.limit, ring, purpose, lambda entry: [entry.version])
    is_open = _works_on(caller, case)
    items = [
        HistoryReply.of(entry, sealing.reason_of(ring, case, entry) if is_open else None) for entry in entries
    ]
    return Page(items=items, next_cursor=cursor)


@router.get("/{case_id}/decision")
async def recompute(case_id: UUID, session: Write, caller: CurrentCaller) -> DecisionReply:
    """The newest judgement on a case, judged again by what it kept. The reading is audited."""
    case = await use_cases.read(session, caller, case_id)
    return DecisionReply.of(await recomputing.recompute(session, case))


@router.patch("/{case_id}")
async def change(case_id: UUID, body: ChangeBody, step: Change) -> CaseReply:
    """Mend a draft or a returned case."""
    case = await use_cases.change(step.session, step.caller, step.by, step.ring, case_id, step.version, body)
    return _shown(case, step.response)


@router.post("/{case_id}/submission")
async def submit(
    case_id: UUID,
    version: IfMatch,
    request: Request,
    caller: CurrentCaller,
    clock: CurrentClock,
    membership: Membership,
    response: Response,
) -> CaseReply:
    """Ask for the decision. Membership is asked first, outside of any transaction; 503 when it does not answer."""
    by = By.caller(caller, clock.now())
    async with database_of(request).read(caller.scope()) as session:
        member_id = await use_cases.member_to_ask_about(session, caller, Action.CASE_CHANGE, case_id)
    detail = await membership.detail(member_id)
    async with transaction(request, caller) as session:
        case = await use_cases.submit(session, caller, by, case_id, version, detail)
    return _shown(case, response)


@router.post("/{case_id}/approval")
async def approve(
    case_id: UUID,
    body: ApprovalBody,
    version: IfMatch,
    request: Request,
    caller: CurrentCaller,
    clock: CurrentClock,
    membership: Membership,
    response: Response,
) -> CaseReply:
    """Grant what is asked for, or less; the amount is reserved in the programme's budget."""
    by = By.caller(caller, clock.now())
    async with database_of(request).read(caller.scope()) as session:
        member_id = await use_cases.member_to_ask_about(session, caller, Action.CASE_APPROVE, case_id)
    detail = await membership.detail(member_id)
    granted = None if body.approved_fen is None else Fen(body.approved_fen)
    case = await approving.approve(database_of(request), caller, by, case_id, version, granted, detail)
    if case is None:
        async with transaction(request, caller) as session:
            case = await use_cases.approve(session, caller, by, case_id, version, granted, detail)
    return _shown(case, response)


@router.post("/{case_id}/return")
async def send_back(case_id: UUID, body: ReasonBody, step: Change) -> CaseReply:
    """Return it to be mended."""
    case = await use_cases.send_back(
        step.session, step.caller, step.by, step.ring, case_id, step.version, body.reason
    )
    return _shown(case, step.response)


@router.post("/{case_id}/rejection")
async def reject(case_id: UUID, body: ReasonBody, step: Change) -> CaseReply:
    """Refuse it for good."""
    case = await use_cases.reject(
        step.session, step.caller, step.by, step.ring, case_id, step.version, body.reason
    )
    return _shown(case, step.response)


@router.post("/{case_id}/withdrawal")
async def withdraw(case_id: UUID, body: NoteBody, step: Change) -> CaseReply:
    """Take it back before it is decided."""
    case = await use_cases.withdraw(
        step.session, step.caller, step.by, step.ring, case_id, step.version, body.reason
    )
    return _shown(case, step.response)


@router.post("/{case_id}/cancellation")
async def cancel(case_id: UUID, body: ReasonBody, step: Change) -> CaseReply:
    """Stop it after approval; the money is free again."""
    case = await use_cases.cancel(
        step.session, step.caller, step.by, step.ring, case_id, step.version, body.reason
    )
    return _shown(case, step.response)


@router.post("/{case_id}/acknowledgement")
async def acknowledge(case_id: UUID, step: Change) -> CaseReply:
    """The member has received the money, an officer says."""
    case = await use_cases.acknowledge(step.session, step.caller, step.by, case_id, step.version)
    return _shown(case, step.response)


@router.post("/{case_id}/unflagging")
async def unflag(case_id: UUID, body: ReasonBody, step: Change) -> CaseReply:
    """The holder has looked at what happened to the member; the case may go on."""
    case = await use_cases.unflag(
        step.session, step.caller, step.by, step.ring, case_id, step.version, body.reason
    )
    return _shown(case, step.response)


@own_router.post("", status_code=status.HTTP_201_CREATED)
async def apply_for_oneself(body: ApplicationBody, call: Once) -> CaseReply:
    """Ask for help oneself: submitted at once."""
    case = await use_cases.apply_for_oneself(call.session, call.caller, call.by, call.ring, body)
    return _shown(case, call.response)


@own_router.get("")
async def list_own(page: PageQuery, session: Write, caller: CurrentCaller, ring: Keys) -> Page[CaseReply]:
    """One's own cases, oldest first."""
    member = await use_cases.own_member(session, caller)
    purpose = f"own-cases:{member.id}"
    after = page.after(ring, purpose)
    found = await repository.of_member(session, member.id, UUID(after[0]) if after else None, page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda case: [str(case.id)])
    return Page(items=[CaseReply.of(case) for case in rows], next_cursor=cursor)


@own_router.post("/{case_id}/acknowledgement")
async def acknowledge_own(case_id: UUID, step: Change) -> CaseReply:
    """The money has arrived."""
    case = await use_cases.acknowledge_own(step.session, step.caller, step.by, case_id, step.version)
    return _shown(case, step.response)


def _shown(case: AidCase, response: Response) -> CaseReply:
    set_etag(response, case.version)
    return CaseReply.of(case)


def _works_on(caller: Caller, case: AidCase) -> bool:
    """Whether the caller needs to know why help is needed: who gathers and who decides, not who pays or audits."""
    return any(caller.allows(action, case.path) for action in (Action.CASE_CHANGE, Action.CASE_APPROVE))
