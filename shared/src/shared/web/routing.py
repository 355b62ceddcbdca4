"""The route class of every API: bounded bodies, strict JSON, and the stored reply of an idempotent request.

FastAPI builds the response inside the stack of function-scoped dependencies. So what happens here after the inner handler
still lies in the request's transaction: that is where a reply is stored, before the commit that makes it true.
"""

from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from shared.kernel.errors import BadRequest, DomainError
from shared.web.body import BoundedBody, StrictRequest, max_body_of
from shared.web.idempotency import keep_reply
from shared.web.request import header
from shared.web.session import WRITE_SESSION


class ApiRoute(APIRoute):
    """See the module."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler with ours around it."""
        inner = super().get_route_handler()
        size = max_body_of(self.endpoint)

        async def handle(request: Request) -> Response:
            scope = request.scope
            if b"%00" in scope["query_string"] or "\0" in scope["path"]:
                raise BadRequest("nul-character")
            body = BoundedBody(request.receive, size, header(scope, b"content-length"))
            try:
                response = await inner(StrictRequest(scope, body))
            except HTTPException as wrapped:
                # FastAPI turns what climbs out of reading a body into a 400 of its own.
                if isinstance(wrapped.__cause__, (DomainError, OSError)):
                    raise wrapped.__cause__ from None
                raise
            if WRITE_SESSION in scope:
                if response.status_code >= 400:
                    raise RuntimeError(
                        "a refusal was returned; it must be raised, or what it refuses is committed"
                    )
                await keep_reply(scope, response)
            return response

        return handle


def api_router(prefix: str, *tags: str | Enum) -> APIRouter:
    """A router for one slice; `prefix` is the whole path, e.g. "/api/v1/members" (logs and metrics show it)."""
    return APIRouter(prefix=prefix, tags=list(tags), route_class=ApiRoute)
