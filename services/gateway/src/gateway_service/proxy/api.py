"""Everything under /api/v1 that is not the gateway's own, once the token is verified."""

from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from gateway_service.proxy.domain import Passed, needs_token, route
from gateway_service.proxy.forwarding import forward
from shared.kernel.errors import NotFound
from shared.web.audit import AuditEntryView
from shared.web.caller import CurrentCaller, bearer_token
from shared.web.paging import Page, PageQuery
from shared.web.routing import api_router

METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

router = APIRouter()
audit_router = api_router("/api/v1/audit", "audit")


class Audited(StrEnum):
    """The services that keep an audit."""

    MEMBERSHIP = "membership"
    WELFARE = "welfare"
    EVENTS = "events"


@audit_router.get("", response_model=None, responses={200: {"model": Page[AuditEntryView]}})
async def audit(
    request: Request,
    caller: CurrentCaller,
    organisation: Annotated[
        UUID, Query(description="the unit whose entries, with those of all below it, are listed")
    ],
    page: PageQuery,
    subject: Annotated[
        UUID | None, Query(description="only what was done to this member, dossier, post, …")
    ] = None,
    service: Annotated[Audited, Query(description="whose audit is read")] = Audited.MEMBERSHIP,
) -> Response:
    """Who read and who changed in one service, at a unit and all below it, newest first. Asking is audited there."""
    del caller, organisation, page, subject  # checked here, read by the owner
    passed = Passed(service, is_file=False, may_repeat=True)
    state = request.app.state
    return await forward(
        state.http_client, request, state.owners[service], passed, state.settings.owner_deadline
    )


async def pass_on(request: Request) -> Response:
    """Verify the token, find the owner, let it answer. Rights are the owner's to judge."""
    path = request.scope["path"]
    if needs_token(path):
        await request.app.state.callers.identify(bearer_token(request))
    passed = route(request.method, path, keyed="idempotency-key" in request.headers)
    if passed is None:
        raise NotFound("not-found")
    settings = request.app.state.settings
    deadline = settings.file_deadline if passed.is_file else settings.owner_deadline
    return await forward(
        request.app.state.http_client, request, request.app.state.owners[passed.owner], passed, deadline
    )


router.add_route("/api/v1/{rest:path}", pass_on, methods=METHODS, include_in_schema=False)
