"""/health/live, /health/ready with reasons that an operator can act on, /metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from shared.database.engine import Database
from shared.kernel.errors import Unavailable
from shared.kernel.texts import Language, language_of, text
from shared.observability.metrics import exposition

#: A check that takes longer counts as failed.
CHECK_SECONDS: Final = 3.0
#: How asyncpg and SQLAlchemy say that PostgreSQL, or a table, is not there.
UNREACHABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    SQLAlchemyError,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why this process is not ready: the code of a text that says what to do, and its parameters."""

    code: str
    params: dict[str, str | int] = field(default_factory=dict)


#: None when all is well. Checks raise nothing: what they foresee is a Reason.
ReadyCheck = Callable[[], Awaitable[Reason | None]]


async def reasons_of(checks: Sequence[ReadyCheck]) -> list[Reason]:
    """The reasons of all checks, asked at the same time."""
    found = await asyncio.gather(*(_asked(check) for check in checks))
    return [reason for reason in found if reason is not None]


async def _asked(check: ReadyCheck) -> Reason | None:
    try:
        return await asyncio.wait_for(check(), CHECK_SECONDS)
    except TimeoutError:
        return Reason("check-timed-out", {"check": getattr(check, "__name__", "check")})


def readiness(reasons: Sequence[Reason], language: Language) -> dict[str, Any]:
    """The body of /health/ready."""
    return {
        "ready": not reasons,
        "reasons": [
            {"code": reason.code, "text": text(reason.code, language, **reason.params), **reason.params}
            for reason in reasons
        ],
    }


def database_reachable(database: Database) -> ReadyCheck:
    """PostgreSQL answers as the role of this process."""

    async def check() -> Reason | None:
        try:
            async with database.driver() as connection:
                await connection.fetchval("SELECT 1")
        except UNREACHABLE:
            return Reason("database-unreachable")
        return None

    return check


def database_migrated(database: Database, head: str) -> ReadyCheck:
    """The schema is the one that this program expects. `head` is the newest migration it brings.

    A process that has seen it stays ready when the next version migrates the database under it: migrations leave the
    version before able to work, and a rolling update runs both. One that starts later is too old.
    """
    seen = False

    async def check() -> Reason | None:
        nonlocal seen
        try:
            async with database.driver() as connection:
                found = await connection.fetchval("SELECT version_num FROM schema_version")
        except UNREACHABLE:
            return Reason("database-not-migrated", {"expected": head})
        seen = seen or found == head
        if seen and found and found >= head:
            return None
        if found and found > head:
            return Reason("database-newer", {"expected": head, "found": found})
        return Reason("database-not-migrated", {"expected": head})

    return check


def health_router(checks: Sequence[ReadyCheck], is_draining: Callable[[], bool]) -> APIRouter:
    """The routes; they ask for no token and are not routed by the gateway."""
    router = APIRouter(include_in_schema=False)

    @router.get("/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/health/ready")
    async def ready(request: Request) -> Response:
        reasons = [Reason("draining")] if is_draining() else await reasons_of(checks)
        language = language_of(request.headers.get("accept-language"))
        return JSONResponse(readiness(reasons, language), 503 if reasons else 200)

    @router.get("/metrics")
    async def metrics() -> Response:
        body, media_type = exposition()
        return Response(body, media_type=media_type)

    return router
