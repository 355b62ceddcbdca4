"""Everything under /api/v1 that is not the gateway's own, once the token is verified."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway_service.proxy.domain import route
from gateway_service.proxy.forwarding import forward
from shared.kernel.errors import NotFound
from shared.web.caller import bearer_token

METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

router = APIRouter()


async def pass_on(request: Request) -> Response:
    """Verify the token, find the owner, let it answer. Rights are the owner's to judge."""
    await request.app.state.callers.identify(bearer_token(request))
    passed = route(request.method, request.url.path, keyed="idempotency-key" in request.headers)
    if passed is None:
        raise NotFound("not-found")
    settings = request.app.state.settings
    deadline = settings.file_deadline if passed.is_file else settings.owner_deadline
    return await forward(
        request.app.state.http_client, request, request.app.state.owners[passed.owner], passed, deadline
    )


router.add_route("/api/v1/{rest:path}", pass_on, methods=METHODS, include_in_schema=False)
