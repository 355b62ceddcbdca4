"""Routes of check-ins. Thin: parse, call one use case or query, show."""

from typing import Annotated
from uuid import UUID

import segno
from fastapi import Path, status

from events_service.activities import repository as activities
from events_service.checkins import repository, use_cases
from events_service.checkins.schemas import (
    BatchBody,
    BatchReply,
    CheckInReply,
    CodeReply,
    HandBody,
    ListedReply,
    RowReply,
    ScanBody,
)
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Once
from shared.web.language import CurrentLanguage
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read

router = api_router("/api/v1/activities", "check-ins")
own_router = api_router("/api/v1/me", "me")


@router.get("/{activity_id}/sessions/{number}/code")
async def get_code(
    activity_id: UUID,
    number: Annotated[int, Path(ge=1, le=50)],
    session: Read,
    caller: CurrentCaller,
    clock: CurrentClock,
    ring: Keys,
) -> CodeReply:
    """The code to show at the entrance for the next half minute."""
    issued = await use_cases.code(session, caller, clock.now(), ring, activity_id, number)
    return CodeReply.of(issued, segno.make_qr(issued.code, error="m").svg_data_uri(scale=8))


@own_router.post("/check-ins")
async def scan(body: ScanBody, call: Once) -> CheckInReply:
    """Sign in by the code on the screen."""
    return CheckInReply.of(await use_cases.scan(call.session, call.caller, call.by, call.ring, body.code))


@router.post("/{activity_id}/check-ins", status_code=status.HTTP_200_OK)
async def check_in_by_hand(activity_id: UUID, body: HandBody, call: Once) -> CheckInReply:
    """Sign somebody in by hand."""
    check_in = await use_cases.by_hand(
        call.session,
        call.caller,
        call.by,
        activity_id,
        registration_id=body.registration_id,
        member_id=body.member_id,
        number=body.session,
        at=body.at,
    )
    return CheckInReply.of(check_in)


@router.post("/{activity_id}/check-ins/batch")
async def merge_batch(
    activity_id: UUID, body: BatchBody, call: Once, language: CurrentLanguage
) -> BatchReply:
    """Take in what a device wrote down while it was offline. Each row has its answer; sending it again changes nothing."""
    rows = [row.scanned() for row in body.rows]
    verdicts = await use_cases.merge(call.session, call.caller, call.by, activity_id, rows)
    return BatchReply(
        rows=[RowReply.of(row, verdict, language) for row, verdict in zip(body.rows, verdicts, strict=True)]
    )


@router.get("/{activity_id}/check-ins")
async def list_check_ins(
    activity_id: UUID, page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys
) -> Page[ListedReply]:
    """The sign-in sheet, session by session."""
    activity = await activities.get(session, activity_id)
    caller.require(Action.REGISTRATION_READ, activity.path)
    purpose = f"check-ins:{activity_id}"
    values = page.after(ring, purpose)
    after = (int(values[0]), UUID(values[1])) if values else None
    found = await repository.page(session, activity_id, after, page.limit + 1)
    rows, cursor = page_of(
        found, page.limit, ring, purpose, lambda row: [row.session_number, str(row.registration_id)]
    )
    return Page(items=[ListedReply.of(row) for row in rows], next_cursor=cursor)
