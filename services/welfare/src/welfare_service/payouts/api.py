"""Routes of payouts. Thin: parse, call one use case or query, show."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response, UploadFile, status

from shared.directory.organisations import subtrees
from shared.security.policy import Action
from shared.web.body import max_body
from shared.web.caller import CurrentCaller
from shared.web.change import Call, Change, Once
from shared.web.conditional import set_etag
from shared.web.idempotency import Idempotent
from shared.web.language import CurrentLanguage
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import Keys, Read, Write
from welfare_service.payouts import files, repository, use_cases
from welfare_service.payouts.domain import LineState, Payout, PayoutState
from welfare_service.payouts.schemas import (
    FindingView,
    LineView,
    PayoutView,
    PreparePayout,
    ResolveFinding,
    ResultView,
    SendPayout,
)

router = api_router("/api/v1/payouts", "payouts")

_CSV = {"content": {"text/csv": {}}, "description": "instructions for the bank, with account numbers"}


@router.post("", status_code=status.HTTP_201_CREATED)
async def prepare_payout(body: PreparePayout, call: Once) -> PayoutView:
    """Put approved cases into a batch for the bank. Somebody else sends it."""
    payout = await use_cases.prepare(call.session, call.caller, call.by, body.organisation_id, body.case_ids)
    return _shown(call, payout)


@router.get("")
async def list_payouts(
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    organisation: Annotated[UUID | None, Query(description="of this unit and those below it")] = None,
    state: PayoutState | None = None,
) -> Page[PayoutView]:
    """Batches of a subtree, newest first."""
    roots = await subtrees(session, caller, Action.PAYOUT_READ, organisation)
    purpose = f"payouts:{roots}:{state}"
    values = page.after(ring, purpose)
    before = UUID(values[0]) if values else None
    found = await repository.page(session, roots, state, before, page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda row: [str(row.id)])
    return Page(items=[PayoutView.of(row) for row in rows], next_cursor=cursor)


@router.get("/{payout_id}")
async def get_payout(payout_id: UUID, session: Read, caller: CurrentCaller, response: Response) -> PayoutView:
    """A batch."""
    payout = await use_cases.read(session, caller, payout_id)
    set_etag(response, payout.version)
    return PayoutView.of(payout)


@router.get("/{payout_id}/lines")
async def list_lines(
    payout_id: UUID,
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    language: CurrentLanguage,
    state: LineState | None = None,
) -> Page[LineView]:
    """The payments of a batch and what is known of each."""
    payout = await use_cases.read(session, caller, payout_id)
    purpose = f"payout-lines:{payout.id}:{state}"
    values = page.after(ring, purpose)
    after = UUID(values[0]) if values else None
    found = await repository.lines_page(session, payout.id, after, page.limit + 1, state)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda row: [str(row.id)])
    return Page(items=[LineView.of(row, language) for row in rows], next_cursor=cursor)


@router.get("/{payout_id}/findings")
async def list_findings(
    payout_id: UUID,
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    language: CurrentLanguage,
) -> Page[FindingView]:
    """What the bank said that does not fit, oldest first."""
    payout = await use_cases.read(session, caller, payout_id)
    purpose = f"payout-findings:{payout.id}"
    values = page.after(ring, purpose)
    after = UUID(values[0]) if values else None
    found = await repository.findings(session, payout.id, is_open=False, after=after, limit=page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda row: [str(row.id)])
    return Page(items=[FindingView.of(row, language) for row in rows], next_cursor=cursor)


@router.get("/{payout_id}/file", response_class=Response, responses={200: _CSV})
async def get_file(payout_id: UUID, session: Write, caller: CurrentCaller, ring: Keys) -> Response:
    """The file for the bank. It holds account numbers: whoever takes it is recorded."""
    payout, content = await use_cases.instructions_file(session, caller, ring, payout_id)
    headers = {
        "Content-Disposition": f'attachment; filename="{payout.number}.csv"',
        "Cache-Control": "no-store",
    }
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/{payout_id}/sending")
async def send_payout(payout_id: UUID, body: SendPayout, _key: Idempotent, call: Change) -> PayoutView:
    """Let a batch go to the bank: by another person than who prepared it."""
    payout = await use_cases.send(call.session, call.caller, call.by, payout_id, call.version, body.channel)
    return _shown(call, payout)


@router.post("/{payout_id}/cancellation")
async def cancel_payout(payout_id: UUID, call: Change) -> PayoutView:
    """Take a batch back before it is sent."""
    return _shown(call, await use_cases.cancel(call.session, call.caller, call.by, payout_id, call.version))


@router.post("/{payout_id}/result")
@max_body(files.MAX_RESULT_BYTES + 64 * 1024)
async def take_result(payout_id: UUID, file: UploadFile, call: Once, language: CurrentLanguage) -> ResultView:
    """Upload a result file of the bank. What does not fit is kept as a finding, the rest is booked."""
    rows = files.read_result(await file.read())
    result = await use_cases.take_result(call.session, call.caller, call.by, payout_id, rows)
    return ResultView.of(result, language)


@router.post("/{payout_id}/findings/{finding_id}/resolution")
async def resolve_finding(
    payout_id: UUID, finding_id: UUID, body: ResolveFinding, call: Once, language: CurrentLanguage
) -> FindingView:
    """Say how a finding was cleared up."""
    finding = await use_cases.resolve(
        call.session, call.caller, call.by, payout_id, finding_id, body.resolution
    )
    return FindingView.of(finding, language)


@router.post("/{payout_id}/closing")
async def close_payout(payout_id: UUID, call: Change) -> PayoutView:
    """End a batch that the bank has answered for and about which nothing is open."""
    return _shown(call, await use_cases.close(call.session, call.caller, call.by, payout_id, call.version))


def _shown(call: Call, payout: Payout) -> PayoutView:
    call.leaves(payout.version)
    return PayoutView.of(payout)
