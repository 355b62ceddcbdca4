"""Sends a request to an owner and streams the answer back: one deadline for the first byte, at most one repetition."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from yarl import URL

from gateway_service.proxy.domain import Headers, Passed, request_headers, response_headers
from shared.kernel.errors import BadRequest, DomainError, Unavailable
from shared.observability.tracing import current_traceparent
from shared.web.body import BoundedBody
from shared.web.limits import MAX_BODY
from shared.web.request import REQUEST_ID

#: A body up to this size is held, so that it can be sent again; larger ones stream through.
_HELD_BODY: Final = 1024 * 1024
#: Larger than any owner takes: what a file may weigh is for its owner to say.
_FILE_BODY: Final = 1024 * 1024 * 1024
#: An answer up to this size is passed on even if the client has gone meanwhile.
_SMALL_ANSWER: Final = 64 * 1024
#: Shorter than the services' own (75 s), so that it is the gateway that lets an idle connection go.
KEEP_ALIVE_SECONDS: Final = 30
#: Between two pieces of an answer.
_PIECE_SECONDS: Final = 60
_CONNECT_SECONDS: Final = 3
#: Until one of the connections to owners is free and connected.
_POOL_SECONDS: Final = 5
_MOST_CONNECTIONS: Final = 500
#: An owner may say much in a header: where to go on, what a browser is to keep.
_MOST_OF_HEADER: Final = 32 * 1024
#: What stands in a path or a query as it is. A "%" of a query introduces what the client encoded itself.
_PATH_CHARACTERS: Final = "/:@!$&'()*+,;=~"
_QUERY_CHARACTERS: Final = "%?[]{}|\\^`" + _PATH_CHARACTERS


class NoAnswer(ClientError):
    """The owner could not be reached, or hung up before it answered."""


async def _never_repeated(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """The client would repeat every PUT and DELETE by itself, unless the error is one that it does not know."""
    try:
        return await handler(request)
    except TimeoutError:
        raise
    except ClientConnectionError as lost:
        raise NoAnswer from lost


def http_client() -> ClientSession:
    """The pool of connections to the owners of one process. Close it with the process."""
    return ClientSession(
        connector=TCPConnector(limit=_MOST_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS),
        timeout=ClientTimeout(connect=_POOL_SECONDS, sock_connect=_CONNECT_SECONDS, sock_read=_PIECE_SECONDS),
        # What passes through is passed on as it is.
        auto_decompress=False,
        cookie_jar=DummyCookieJar(),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        middlewares=(_never_repeated,),
        max_line_size=_MOST_OF_HEADER,
        max_field_size=_MOST_OF_HEADER,
        # No proxy of the environment stands between the gateway and its services.
        trust_env=False,
    )


async def forward(
    client: ClientSession, request: Request, base_url: str, passed: Passed, deadline: float
) -> Response:
    """The owner's answer. Raises Unavailable when it has none within `deadline` seconds.

    An answer that breaks off in the middle breaks off for the client too: half a reply never looks whole.
    """
    if "\0" in request.scope["path"]:
        raise BadRequest("nul-character")
    body = await _body(_bounded(request, passed))
    headers = request_headers(request.scope["headers"], _own_headers(request))
    url = _address(base_url, request)
    repeats = 1 if passed.may_repeat and not isinstance(body, _Streamed) else 0
    while True:
        try:
            async with asyncio.timeout(deadline):
                answer = await client.request(
                    request.method, url, headers=headers, data=body, allow_redirects=False
                )
        except TimeoutError:
            raise Unavailable("owner-slow", retry_after=10, service=passed.owner) from None
        except ClientError:
            if isinstance(body, _Streamed) and body.failure:
                raise body.failure from None
            if repeats:
                repeats -= 1
                continue
            raise Unavailable("owner-down", retry_after=5, service=passed.owner) from None
        return _passed_on(answer)


def _address(base_url: str, request: Request) -> URL:
    """What was judged is what is asked for: the path as it was read, encoded anew."""
    query = quote(request.scope["query_string"], safe=_QUERY_CHARACTERS)
    path = quote(request.scope["path"], safe=_PATH_CHARACTERS)
    return URL(f"{base_url}{path}?{query}" if query else base_url + path, encoded=True)


def _passed_on(answer: ClientResponse) -> Response:
    length = answer.content_length
    reply: Response
    if length is not None and length <= _SMALL_ANSWER:
        reply = _Small(answer)
    else:
        reply = StreamingResponse(_pieces(answer), status_code=answer.status)
    reply.raw_headers = response_headers(answer.raw_headers)
    return reply


async def _pieces(answer: ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.content.iter_any():
            yield piece
    finally:
        answer.close()


class _Small(Response):
    """An answer that is there at once, nearly always: nobody has to watch meanwhile whether the client goes away."""

    def __init__(self, answer: ClientResponse) -> None:
        self.status_code = answer.status
        self.background = None
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        try:
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(start)
            await send({"type": "http.response.body", "body": await self._answer.content.read()})
        finally:
            self._answer.close()


def _bounded(request: Request, passed: Passed) -> Request:
    """The request with a body that must arrive in time: a client that sends slowly may not hold this process for ever."""
    size = _FILE_BODY if passed.is_file else MAX_BODY
    return Request(request.scope, BoundedBody(request.receive, size, request.headers.get("content-length")))


class _Streamed:
    """A body on its way through. What goes wrong with it is remembered: to the client of the owners it is a lost connection."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._pieces:
                yield piece
        except (DomainError, ClientDisconnect) as failure:
            self.failure = failure
            raise


async def _body(request: Request) -> bytes | _Streamed | None:
    length = request.headers.get("content-length")
    if length is None and "transfer-encoding" not in request.headers:
        return None
    if length is not None and length.isdecimal() and int(length) <= _HELD_BODY:
        return await request.body()
    return _Streamed(request.stream())


def _own_headers(request: Request) -> Headers:
    traceparent = current_traceparent()
    own = [("x-request-id", str(request.scope[REQUEST_ID]))]
    return [*own, ("traceparent", traceparent)] if traceparent else own
