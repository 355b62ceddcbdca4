"""`/identity/...` passes through to the provider, whose issuer name is this origin (settled: one origin serves all)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway_service.identity.domain import is_shown
from gateway_service.proxy.api import METHODS
from gateway_service.proxy.domain import Passed
from gateway_service.proxy.forwarding import forward
from shared.kernel.errors import NotFound

router = APIRouter()

PREFIX = "/identity"


async def pass_on(request: Request) -> Response:
    """No token is asked for: this is where tokens come from."""
    if not is_shown(request.scope["path"]):
        raise NotFound("not-found")
    settings = request.app.state.settings
    passed = Passed("identity", is_file=False, may_repeat=request.method == "GET")
    base_url = settings.identity_url.removesuffix(PREFIX)
    return await forward(request.app.state.http_client, request, base_url, passed, settings.owner_deadline)


router.add_route(PREFIX + "/{rest:path}", pass_on, methods=METHODS, include_in_schema=False)
