"""Every refusal as an RFC 9457 problem, in the reader's language, with nothing in it that came from the input.

The one place of the web layer that catches everything: what nobody foresaw is logged with the request id and answered 500
without details; a database that is away, deadlocked or too busy is answered 503 with Retry-After, and so is a full disk.
"""

import errno
import logging
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.database.failures import is_collision, is_database_lost, sqlstate
from shared.kernel.errors import (
    BadRequest,
    DomainError,
    FieldProblem,
    Invalid,
    StaleVersion,
    TooLarge,
    Unavailable,
)
from shared.kernel.texts import Language, has_text, language_of, text
from shared.web.request import REQUEST_ID, header
from shared.web.validation import problems_of

log = logging.getLogger("unionhall.web")

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:unionhall:problem:"
INSTANCE_PREFIX: Final = "urn:unionhall:request:"
RETRY_SECONDS: Final = 1
#: Room for an upload comes back when the one that took it is through.
_ROOM_SECONDS: Final = 30
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
#: A statement that was cancelled because it took too long.
_CANCELLED: Final = "57014"
_FRAMEWORK_CODES: Final = {
    400: "request-malformed",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
}


class FieldProblemBody(BaseModel):
    """One wrong field."""

    path: str = Field(description="where in the input, e.g. body/phone")
    code: str
    detail: str


class Problem(BaseModel):
    """Why a request was refused (RFC 9457), in the language asked for."""

    type: str = Field(description="urn:unionhall:problem: and the code")
    title: str
    status: int
    code: str = Field(description="stable; for programs")
    detail: str = Field(description="for people")
    instance: str = Field(description="urn:unionhall:request: and the request id, for those who run this")
    problems: list[FieldProblemBody] = []


def install(app: FastAPI) -> None:
    """Answer all errors of `app` as problems."""
    for kind in (DomainError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    refusal = refusal_of(error)
    if refusal is None:
        raise error
    if isinstance(error, HTTPException):
        return problem_response(request.scope, refusal, error.status_code, dict(error.headers or {}))
    return problem_response(request.scope, refusal)


def refusal_of(error: Exception) -> DomainError | None:
    """The refusal that an error of the framework or the database amounts to; None for a defect."""
    match error:
        case DomainError():
            return error
        case RequestValidationError():
            return _invalid(error)
        case HTTPException(status_code=status):
            return _from_framework(status)
        case StaleDataError():
            return StaleVersion("stale-version")
    return _unavailable(error)


def _unavailable(error: Exception) -> Unavailable | None:
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return Unavailable("disk-full", retry_after=_ROOM_SECONDS)
    if (
        is_collision(error)
        or is_database_lost(error)
        or sqlstate(error) == _CANCELLED
        or isinstance(error, TimeoutError)
    ):
        return Unavailable("database-busy", retry_after=RETRY_SECONDS)
    return None


def _invalid(error: RequestValidationError | ValidationError) -> DomainError:
    errors = error.errors()
    if any(one["type"] == "json_invalid" for one in errors):
        return BadRequest("json-malformed")
    return Invalid("input-invalid", problems=problems_of(errors))


def _from_framework(status: int) -> DomainError:
    code = _FRAMEWORK_CODES.get(status, "request-malformed")
    return TooLarge(code) if status == 413 else BadRequest(code)


def problem_response(
    scope: Scope, refusal: DomainError, status: int | None = None, headers: dict[str, str] | None = None
) -> Response:
    """The reply for a refusal. `status` overrides that of its class, `headers` are added."""
    language = language_of(header(scope, b"accept-language"))
    status = status or refusal.status
    extra = {
        "Content-Language": language,
        "Vary": "Accept-Language",
        "Cache-Control": "no-store",
        **(headers or {}),
    }
    if refusal.retry_after is not None:
        extra["Retry-After"] = str(refusal.retry_after)
    if status == 401:
        known = "" if refusal.code == "token-missing" else ' error="invalid_token"'
        extra["WWW-Authenticate"] = f"Bearer{known}"
    body = problem(refusal, status, language, scope.get(REQUEST_ID, ""))
    return Response(orjson.dumps(body), status, extra, MEDIA_TYPE)


def problem(refusal: DomainError, status: int, language: Language, request_id: str) -> dict[str, Any]:
    """The document: see `Problem`."""
    return {
        "type": TYPE_PREFIX + refusal.code,
        "title": text(f"status-{status}" if has_text(f"status-{status}") else "status-other", language),
        "status": status,
        "code": refusal.code,
        "detail": text(refusal.code, language, **refusal.params),
        "instance": INSTANCE_PREFIX + request_id,
        "problems": [_field(one, language) for one in refusal.problems],
    }


def _field(one: FieldProblem, language: Language) -> dict[str, str]:
    return {"path": one.path, "code": one.code, "detail": text(one.code, language, **one.params)}


class Unforeseen(DomainError):
    """A defect of ours."""

    status = 500


class CatchAll:
    """Pure ASGI: what climbs this far is a defect; it is logged and answered 500 without details."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; nothing is raised but when the reply has begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            # Hung up in the middle of the body: no defect, and nobody to answer.
            return
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                log.exception("unforeseen error")
                refusal = Unforeseen("unforeseen")
            if started:
                raise
            await problem_response(scope, refusal)(scope, receive, send)
