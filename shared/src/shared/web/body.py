"""Bodies of requests: bounded in size and time, JSON parsed strictly."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

import orjson
from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError
from starlette.datastructures import UploadFile
from starlette.types import Message, Receive

from shared.kernel.errors import BadRequest, DomainError, TooLarge
from shared.web.limits import BODY_SECONDS, MAX_BODY, has_nul, is_too_deep

_MAX_BODY_ATTRIBUTE: Final = "_unionhall_max_body"
_CHUNK: Final = 256 * 1024
#: Characters of a reason.
MAX_REASON: Final = 500
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Body(BaseModel):
    """Base of the bodies of requests: a field that is not asked for is refused, and blanks are no text."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


def _legible(reason: str) -> str:
    if not any(sign.isalnum() for sign in reason):
        raise PydanticCustomError("field-says-nothing", "no letter and no digit")
    return reason


#: Why something is done, as it stands in the history for good: characters that nobody sees, or dots alone, are no reason.
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REASON),
    AfterValidator(_legible),
]


class BodyTooSlow(DomainError):
    """The body did not arrive in time."""

    status = 408


def max_body(size: int) -> Callable[[Endpoint], Endpoint]:
    """Let this route's body have up to `size` bytes. Stands under the route decorator, on uploads."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _MAX_BODY_ATTRIBUTE, size)
        return endpoint

    return mark


def max_body_of(endpoint: Callable[..., Any]) -> int:
    """The bytes that a body of this endpoint may have."""
    size: int = getattr(endpoint, _MAX_BODY_ATTRIBUTE, MAX_BODY)
    return size


class BoundedBody:
    """Receives a body up to a size and within a time; what comes after the body (a disconnect) is waited for without end."""

    def __init__(self, receive: Receive, size: int, declared: str | None) -> None:
        """`declared` is the Content-Length, if any: too large a body is refused before a byte of it is read."""
        if declared is not None and declared.isascii() and declared.isdigit() and int(declared) > size:
            raise TooLarge("body-too-large", limit=size)
        self._receive = receive
        self._size = size
        self._read = 0
        self._deadline: float | None = None
        self._complete = False

    async def __call__(self) -> Message:
        """The next message. Raises TooLarge, BodyTooSlow."""
        if self._complete:
            return await self._receive()
        if self._deadline is None:
            seconds = BODY_SECONDS * max(1, self._size / MAX_BODY)
            self._deadline = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise BodyTooSlow("body-too-slow") from None
        self._read += len(message.get("body", b""))
        if self._read > self._size:
            raise TooLarge("body-too-large", limit=self._size)
        self._complete = not message.get("more_body", False)
        return message


class StrictRequest(Request):
    """A request whose JSON is parsed strictly: no NaN, no broken UTF-8, no U+0000, bounded nesting."""

    async def json(self) -> Any:
        """The document. Raises BadRequest."""
        if not hasattr(self, "_json"):
            body = await self.body()
            try:
                document = orjson.loads(body)
            except orjson.JSONDecodeError:
                raise BadRequest("json-malformed") from None
            if is_too_deep(body, document):
                raise BadRequest("json-too-deep")
            if b"\\u0000" in body and has_nul(document):
                raise BadRequest("nul-character")
            self._json = document
        return self._json

    async def fingerprint(self) -> bytes:
        """SHA-256 of what was sent, equal for an honest repetition.

        Of a form, its fields (the boundary differs between repetitions). Of a body that the route streams by itself, only the
        headers that describe it: reading it here would take memory without bound. Raises BadRequest.
        """
        digest = hashlib.sha256(self.scope["query_string"] + b"\0")
        if self._form is not None:
            for name, value in self._form.multi_items():
                digest.update(_text(name) + b"\0")
                if isinstance(value, UploadFile):
                    digest.update(_text(value.filename or "") + b"\0")
                    while chunk := await value.read(_CHUNK):
                        digest.update(chunk)
                    await value.seek(0)
                else:
                    digest.update(_text(value))
                digest.update(b"\0")
        elif hasattr(self, "_body"):
            digest.update(self._body)
        else:
            for name in ("content-type", "content-length", "content-digest"):
                digest.update(self.headers.get(name, "").encode() + b"\0")
        return digest.digest()


def _text(part: str) -> bytes:
    """A text of a form, in UTF-8: the charset that a client names may stand for half a character."""
    try:
        return part.encode()
    except UnicodeEncodeError:
        raise BadRequest("request-malformed") from None
