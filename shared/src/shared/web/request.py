"""The frame of every request: its id, headers of every reply, and the end of keep-alive while the process drains."""

import re
from typing import Final
from uuid import UUID

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kernel.ids import new_id
from shared.observability.logs import request_id as logged_request_id

#: Key of the scope under which the request id stands.
REQUEST_ID: Final = "unionhall.request_id"
_SANE: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
#: A long run of digits might be somebody's number; such an id is replaced like a malformed one.
_DIGITS: Final = re.compile(rb"[0-9]{9}")

_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
#: Replies of an API show nothing; a service that serves pages sets its own.
_NOTHING: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NO_STORE: Final = (b"cache-control", b"no-store")


class Draining:
    """Whether this process is about to end: it is no longer ready, and its replies close their connections."""

    def __init__(self) -> None:
        """Not yet."""
        self.begun = False


class Frame:
    """Pure ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, draining: Draining) -> None:
        """Wrap `app`."""
        self._app = app
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take over a sane X-Request-ID or make one; return it, log with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        chosen = _request_id(scope)
        scope[REQUEST_ID] = chosen
        token = logged_request_id.set(chosen)

        async def framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(message["headers"], chosen)
            await send(message)

        try:
            await self._app(scope, receive, framed)
        finally:
            logged_request_id.reset(token)

    def _add_headers(self, headers: list[tuple[bytes, bytes]], chosen: str) -> None:
        present = {name for name, _ in headers}
        headers.append((b"x-request-id", chosen.encode()))
        headers.extend(_SECURITY)
        headers.extend(default for default in (_NOTHING, _NO_STORE) if default[0] not in present)
        if self._draining.begun:
            headers.append((b"connection", b"close"))


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return None


def _request_id(scope: Scope) -> str:
    for key, value in scope["headers"]:
        if key == b"x-request-id":
            if _is_id(value):
                return bytes(value).decode()
            break
    return str(new_id())


def _is_id(value: bytes) -> bool:
    if not _SANE.fullmatch(value):
        return False
    if not _DIGITS.search(value):
        return True
    try:
        UUID(value.decode())
    except ValueError:
        return False
    return True
