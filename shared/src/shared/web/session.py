"""The transaction of a request. It commits after the route's function and before the reply, or not at all.

`Read` and `Write` are function-scoped on purpose: a plain `yield` dependency of FastAPI commits after the response has
left, so that a failing commit still answers 200. Together with the relay, the consumers and the jobs this
is where commits happen, and nowhere else.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import asyncpg
from fastapi import Depends, Request

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import ReadSession, WriteSession
from shared.kernel.clock import Clock
from shared.kernel.crash import crash_point
from shared.kernel.errors import About, DomainError
from shared.security.keys import KeyRing
from shared.security.policy import Caller
from shared.web.caller import CurrentCaller
from shared.web.request import REQUEST_ID

#: Key of the request's scope under which the write session stands while the route runs.
WRITE_SESSION: Final = "unionhall.write_session"


async def read_session(request: Request, caller: CurrentCaller) -> AsyncIterator[ReadSession]:
    """A session that sees what the caller may see, and changes nothing."""
    async with database_of(request).read(Scope(caller.visible_paths())) as session:
        yield session


async def write_session(request: Request, caller: CurrentCaller) -> AsyncIterator[WriteSession]:
    """A session under the caller's scope. Outbox rows go in last; any error, and nothing has happened."""
    async with transaction(request, caller) as session:
        request.scope[WRITE_SESSION] = session
        yield session


@asynccontextmanager
async def transaction(request: Request, caller: Caller) -> AsyncIterator[WriteSession]:
    """A write session that commits when its block ends well, whatever becomes of the request (see `HotCall.apart`).

    Of a refusal that says what it is about an audit entry stays, written when all else is rolled back.
    """
    try:
        async with _acting(request, caller) as session:
            yield session
            await session.flush_events()
            crash_point("web.before_commit")
            await session.commit()
            crash_point("web.after_commit")
    except DomainError as refusal:
        if refusal.about is not None:
            await _audit_refusal(request, caller, refusal.code, refusal.about)
        raise


@asynccontextmanager
async def _acting(request: Request, caller: Caller) -> AsyncIterator[WriteSession]:
    async with database_of(request).write(Scope(caller.visible_paths())) as session:
        session.act_as(caller.issuer, caller.subject, request.scope[REQUEST_ID])
        yield session


async def _audit_refusal(request: Request, caller: Caller, code: str, about: About) -> None:
    async with _acting(request, caller) as session:
        session.audit(f"{about.kind}.refused", about.kind, about.id, {"code": code}, path=about.path)
        await session.flush_events()
        await session.commit()


Read = Annotated[ReadSession, Depends(read_session, scope="function")]
Write = Annotated[WriteSession, Depends(write_session, scope="function")]


async def current_clock(request: Request) -> Clock:
    """The clock of this process."""
    clock: Clock = request.app.state.clock
    return clock


async def current_keys(request: Request) -> KeyRing:
    """The key ring of this process."""
    keys: KeyRing = request.app.state.keys
    return keys


CurrentClock = Annotated[Clock, Depends(current_clock)]
Keys = Annotated[KeyRing, Depends(current_keys)]


def database_of(request: Request) -> Database:
    """The database of this process."""
    database: Database = request.app.state.database
    return database


#: Every hot statement begins so. Its other parts select from `s`, so none runs before the scope is set.
HOT_PREFIX: Final = "WITH s AS MATERIALIZED (SELECT set_config('app.scope', $1, true) AS scope)"


class HotStatement:
    """One SQL statement that is a whole transaction under a scope: one round trip instead of four.

    Only joining, registration and approvals take this way. The scope is local to the statement's own transaction, so a pooled
    connection carries nothing on to the next user.
    """

    def __init__(self, rest: str) -> None:
        """`rest` follows the scope: ", a AS (INSERT ... SELECT ... FROM s ...) SELECT ... FROM a". Parameters from $2 on."""
        if not rest.lstrip().startswith(","):
            raise ValueError("the statement goes on with a comma and its own parts, each selecting from s")
        self.sql = HOT_PREFIX + rest

    async def fetch(self, database: Database, scope: Scope, *arguments: Any) -> list[asyncpg.Record]:
        """Run and commit; all rows. Raises what asyncpg raises, with nothing done."""
        async with database.driver() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(self.sql, scope.setting(), *arguments)
            crash_point("web.after_commit")
            return rows

    async def run(self, database: Database, scope: Scope, *arguments: Any) -> asyncpg.Record | None:
        """The same; the first row."""
        rows = await self.fetch(database, scope, *arguments)
        return rows[0] if rows else None
