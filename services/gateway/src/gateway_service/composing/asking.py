"""Asks owners on behalf of the caller: all at once, under one deadline, each answer whole or missing for a stated reason."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import ClientError, ClientSession
from starlette.requests import Request

from gateway_service.composing.schemas import MissingPart
from shared.kernel.errors import DomainError, Forbidden, NotFound, Unavailable
from shared.kernel.texts import language_of, text
from shared.observability.tracing import current_traceparent
from shared.web.request import REQUEST_ID

#: What an owner's refusal means for the part; anything else that is no answer is "owner-failed".
_REASONS: Final = {
    401: "part-not-allowed",
    403: "part-not-allowed",
    404: "part-not-found",
    429: "owner-busy",
    503: "owner-busy",
}
_RETRY_SECONDS: Final = {"owner-down": 5, "owner-slow": 10, "owner-busy": 2}


@dataclass(frozen=True, slots=True)
class Question:
    """What one owner is asked. With `body` it is a POST that only reads."""

    owner: str
    path: str
    params: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a JSON object, or `reason`, the code of why there is none. `etag` is the owner's."""

    owner: str
    value: dict[str, Any] | None
    reason: str | None = None
    etag: str | None = None

    def missing(self, part: str, request: Request) -> list[MissingPart]:
        """What to say about a part that is not there, in the reader's language; nothing when it is."""
        if self.reason is None:
            return []
        language = language_of(request.headers.get("accept-language"))
        words = text(self.reason, language, service=self.owner)
        return [MissingPart(part=part, service=self.owner, code=self.reason, text=words)]

    def refusal(self) -> DomainError:
        """The same as an error, where without this part there is nothing to show."""
        if self.reason == "part-not-found":
            return NotFound("not-found")
        if self.reason == "part-not-allowed":
            return Forbidden("not-allowed")
        code = self.reason or "owner-failed"
        return Unavailable(code, retry_after=_RETRY_SECONDS.get(code, 5), service=self.owner)

    def unreadable(self) -> "Answer":
        """The same answer once its body has turned out to be something else than was agreed."""
        return Answer(self.owner, None, "owner-unreadable")


def deadline_of(request: Request) -> float:
    """The moment, on the loop's clock, by which everything asked for this request has to be there."""
    seconds: float = request.app.state.settings.composed_deadline
    return asyncio.get_running_loop().time() + seconds


async def ask_all(request: Request, deadline: float, *questions: Question) -> list[Answer]:
    """The answers in the order of the questions. Never raises for what an owner does."""
    return await asyncio.gather(*(_ask(request, deadline, question) for question in questions))


async def _ask(request: Request, deadline: float, question: Question) -> Answer:
    state = request.app.state
    client: ClientSession = state.http_client
    try:
        async with (
            asyncio.timeout_at(deadline),
            client.request(
                "GET" if question.body is None else "POST",
                state.owners[question.owner] + question.path,
                params=question.params,
                data=None if question.body is None else orjson.dumps(question.body),
                headers=_headers(request, question),
                allow_redirects=False,
            ) as found,
        ):
            return _read(question.owner, found.status, await found.read(), found.headers.get("etag"))
    except TimeoutError:
        return Answer(question.owner, None, "owner-slow")
    except ClientError:
        return Answer(question.owner, None, "owner-down")


def _read(owner: str, status: int, body: bytes, etag: str | None) -> Answer:
    if status != 200:
        return Answer(owner, None, _REASONS.get(status, "owner-failed"))
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        return Answer(owner, None, "owner-unreadable")
    return Answer(owner, value, etag=etag)


def _headers(request: Request, question: Question) -> dict[str, str]:
    """The caller's own token: what an owner answers is what this caller may read there."""
    headers = {
        "authorization": request.headers["authorization"],
        "accept-language": request.headers.get("accept-language", ""),
        "x-request-id": str(request.scope[REQUEST_ID]),
    }
    if question.body is not None:
        headers["content-type"] = "application/json"
    traceparent = current_traceparent()
    return headers | {"traceparent": traceparent} if traceparent else headers
