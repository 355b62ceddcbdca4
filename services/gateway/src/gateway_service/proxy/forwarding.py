"""Sends a request to an owner and streams the answer back: one deadline for the first byte, at most one repetition."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import httpx
from starlette.requests import Request
from starlette.responses import StreamingResponse

from gateway_service.proxy.domain import Headers, Passed, request_headers, response_headers
from shared.kernel.errors import BadRequest, Unavailable
from shared.observability.tracing import current_traceparent
from shared.web.body import BoundedBody
from shared.web.limits import MAX_BODY
from shared.web.request import REQUEST_ID

#: A body up to this size is held, so that it can be sent again; larger ones stream through.
_HELD_BODY: Final = 1024 * 1024
#: Larger than any owner takes: what a file may weigh is for its owner to say.
_FILE_BODY: Final = 1024 * 1024 * 1024
#: Shorter than the services' own (75 s), so that it is the gateway that lets an idle connection go.
KEEP_ALIVE_SECONDS: Final = 30
#: Between two pieces of an answer.
_PIECE_SECONDS: Final = 60
_NO_ANSWER: Final = (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


def http_client() -> httpx.AsyncClient:
    """The pool of connections to the owners of one process. Close it with the process."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(_PIECE_SECONDS, connect=3.0, pool=5.0),
        limits=httpx.Limits(
            max_connections=500, max_keepalive_connections=100, keepalive_expiry=KEEP_ALIVE_SECONDS
        ),
        follow_redirects=False,
        # No proxy of the environment stands between the gateway and its services.
        trust_env=False,
    )


async def forward(
    client: httpx.AsyncClient, request: Request, base_url: str, passed: Passed, deadline: float
) -> StreamingResponse:
    """The owner's answer. Raises Unavailable when it has none within `deadline` seconds.

    An answer that breaks off in the middle breaks off for the client too: half a reply never looks whole.
    """
    if "\0" in request.scope["path"]:
        raise BadRequest("nul-character")
    body = await _body(_bounded(request, passed))
    headers = request_headers(request.headers.items(), _own_headers(request))
    url = httpx.URL(base_url + request.url.path, query=request.scope["query_string"])
    repeats = 1 if passed.may_repeat and (body is None or isinstance(body, bytes)) else 0
    while True:
        outgoing = client.build_request(request.method, url, headers=headers, content=body)
        try:
            async with asyncio.timeout(deadline):
                answer = await client.send(outgoing, stream=True)
        except _NO_ANSWER:
            if repeats:
                repeats -= 1
                continue
            raise Unavailable("owner-down", retry_after=5, service=passed.owner) from None
        except (TimeoutError, httpx.TimeoutException):
            raise Unavailable("owner-slow", retry_after=10, service=passed.owner) from None
        return _streamed(answer)


def _streamed(answer: httpx.Response) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.aiter_raw():
                yield piece
        finally:
            await answer.aclose()

    reply = StreamingResponse(pieces(), status_code=answer.status_code)
    reply.raw_headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in response_headers(answer.headers.multi_items())
    ]
    return reply


def _bounded(request: Request, passed: Passed) -> Request:
    """The request with a body that must arrive in time: a client that sends slowly may not hold this process for ever."""
    size = _FILE_BODY if passed.is_file else MAX_BODY
    return Request(request.scope, BoundedBody(request.receive, size, request.headers.get("content-length")))


async def _body(request: Request) -> bytes | AsyncIterator[bytes] | None:
    length = request.headers.get("content-length")
    if length is None and "transfer-encoding" not in request.headers:
        return None
    if length is not None and length.isdecimal() and int(length) <= _HELD_BODY:
        return await request.body()
    return request.stream()


def _own_headers(request: Request) -> Headers:
    traceparent = current_traceparent()
    own = [("x-request-id", str(request.scope[REQUEST_ID]))]
    return [*own, ("traceparent", traceparent)] if traceparent else own
