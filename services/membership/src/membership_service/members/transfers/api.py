"""Routes of transfers. Thin: parse, call one use case or query, show."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response, status

from membership_service.members import lookup
from membership_service.members.schemas import ReasonBody
from membership_service.members.transfers import repository, use_cases
from membership_service.members.transfers.domain import Transfer
from membership_service.members.transfers.schemas import (
    DocumentTransferBody,
    MemberTransferBody,
    TransferReply,
)
from shared.security.acting import By
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Change, ChangeCall, Once
from shared.web.conditional import set_etag
from shared.web.hot import Hot
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import Keys, Read

router = api_router("/api/v1/transfers", "transfers")
member_router = api_router("/api/v1/members", "transfers")
own_router = api_router("/api/v1/me", "me")


@member_router.post("/{member_id}/transfers", status_code=status.HTTP_201_CREATED)
async def request_for_member(member_id: UUID, body: MemberTransferBody, call: Once) -> TransferReply:
    """Let a member go to another unit: asked by the old side, so released at once."""
    transfer = await use_cases.request_for_member(
        call.session, call.caller, call.by, member_id, body.to_organisation_id, body.reason
    )
    return TransferReply.of(transfer)


@own_router.post("/transfer", status_code=status.HTTP_201_CREATED)
async def request_for_oneself(body: MemberTransferBody, call: Once) -> TransferReply:
    """Ask for one's own move to another unit."""
    transfer = await use_cases.request_for_oneself(
        call.session, call.caller, call.by, body.to_organisation_id, body.reason
    )
    return TransferReply.of(transfer)


@router.post("", status_code=status.HTTP_201_CREATED, response_model=TransferReply)
async def request_by_document(body: DocumentTransferBody, hot: Hot) -> Response:
    """Ask for somebody who is a member elsewhere, by the document: asked by the new side."""
    caller, ring = hot.caller, hot.claim.ring
    by = By.caller(caller, hot.claim.now)
    async with hot.apart() as session:
        await use_cases.count_look_up(session, caller, by, body.to_organisation_id)
    async with hot.apart() as session:
        await hot.claim.hold(session)
        transfer = await use_cases.request_by_document(
            session,
            caller,
            by,
            ring,
            body.document_type,
            body.document_number,
            body.to_organisation_id,
            body.reason,
        )
        reply = TransferReply.of(transfer).model_dump_json()
        response = Response(reply, status.HTTP_201_CREATED, media_type="application/json")
        await hot.claim.keep(session, response)
    return response


@router.get("")
async def list_transfers(
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    organisation: Annotated[UUID | None, Query(description="with an end in this subtree")] = None,
    ended: Annotated[bool, Query(description="ended ones too")] = False,  # noqa: FBT002
    escalated: Annotated[bool, Query(description="only those not answered in time")] = False,  # noqa: FBT002
) -> Page[TransferReply]:
    """Transfers from or to a subtree, oldest first."""
    within = await lookup.roots(session, caller, organisation)
    purpose = f"transfers:{within}:{ended}:{escalated}"
    after = page.after(ring, purpose)
    found = await repository.page(
        session,
        within,
        is_open=not ended,
        is_escalated=escalated,
        after=UUID(after[0]) if after else None,
        limit=page.limit + 1,
    )
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda transfer: [str(transfer.id)])
    return Page(items=[TransferReply.of(transfer) for transfer in rows], next_cursor=cursor)


@router.get("/{transfer_id}")
async def get_transfer(
    transfer_id: UUID, session: Read, caller: CurrentCaller, response: Response
) -> TransferReply:
    """One transfer."""
    caller.require_somewhere(Action.MEMBER_READ)
    transfer = await repository.get(session, transfer_id)
    set_etag(response, transfer.version)
    return TransferReply.of(transfer)


@router.post("/{transfer_id}/release")
async def release(transfer_id: UUID, call: Change) -> TransferReply:
    """The old side lets the member go."""
    return _shown(
        call, await use_cases.release(call.session, call.caller, call.by, transfer_id, call.version)
    )


@router.post("/{transfer_id}/acceptance")
async def accept(transfer_id: UUID, call: Change) -> TransferReply:
    """The new side takes the member; after escalation the common upper unit may do so unreleased."""
    return _shown(call, await use_cases.accept(call.session, call.caller, call.by, transfer_id, call.version))


@router.post("/{transfer_id}/refusal")
async def refuse(transfer_id: UUID, body: ReasonBody, call: Change) -> TransferReply:
    """Either side says no."""
    return _shown(
        call,
        await use_cases.refuse(call.session, call.caller, call.by, transfer_id, call.version, body.reason),
    )


@router.post("/{transfer_id}/cancellation")
async def cancel(transfer_id: UUID, body: ReasonBody, call: Change) -> TransferReply:
    """Who asked takes it back; a member does so for the own transfer."""
    await use_cases.bring_own_into_scope(call.session, call.caller)
    return _shown(
        call,
        await use_cases.cancel(call.session, call.caller, call.by, transfer_id, call.version, body.reason),
    )


def _shown(call: ChangeCall, transfer: Transfer) -> TransferReply:
    call.leaves(transfer.version)
    return TransferReply.of(transfer)
