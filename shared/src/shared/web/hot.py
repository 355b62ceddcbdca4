"""The way of a command that is one SQL statement: scope, stored reply, rows and outbox row together.

The ids are made before the statement, so the reply is known before it too and is stored by the statement itself. A twin
waits on a unique index, breaks it, and is answered from the stored reply.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import asyncpg
from fastapi import Depends, Request, Response
from pydantic import BaseModel

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import WriteSession
from shared.security.policy import Caller
from shared.web.caller import CurrentCaller
from shared.web.idempotency import COLUMNS, Claim, KeyHeader, claim_of
from shared.web.session import HotStatement, database_of, transaction

_KEPT: Final = f""", kept AS (
    INSERT INTO idempotency_keys ({COLUMNS})
    SELECT $2::bytea, $3::text, $4::text, $5::bytea, $6::int, $7::bytea, $8::timestamptz FROM s
)"""  # noqa: S608 - COLUMNS is a constant
#: The first parameter that belongs to the command itself.
FIRST_PARAMETER: Final = 9


class HotCommand:
    """A statement that carries out one idempotent command. Written once, at import: HOT = HotCommand(", m AS (...) ...")."""

    def __init__(self, rest: str) -> None:
        """As `HotStatement`, parameters from $9 on; the statement must give one row, or none if it refuses."""
        self._statement = HotStatement(_KEPT + rest)

    async def run(
        self,
        call: "HotCall",
        *arguments: Any,
        reply: BaseModel,
        status: int = 201,
        headers: dict[str, str] | None = None,
    ) -> tuple[asyncpg.Record | None, Response]:
        """Run and commit; the row and the reply to send.

        Raises Replay or Invalid for a repeated key, and otherwise what asyncpg raises: a broken unique index is the
        caller's to explain.
        """
        response = Response(reply.model_dump_json(), status, headers, "application/json")
        try:
            row = await self._statement.run(
                call.database, call.scope, *call.claim.stored(response), *arguments
            )
        except asyncpg.UniqueViolationError:
            async with call.database.read(call.scope) as session:
                await call.claim.replay(session)
            raise
        return row, response


@dataclass(frozen=True, slots=True)
class HotCall:
    """What a hot route needs of its request. One dependency instead of five: solving each costs as much as a small query.

    The claim brings the key ring and the time.
    """

    request: Request
    caller: Caller
    claim: Claim

    @property
    def database(self) -> Database:
        """The database of this process."""
        return database_of(self.request)

    @property
    def scope(self) -> Scope:
        """What the caller may see and write."""
        return Scope(self.caller.visible_paths())

    def apart(self) -> AbstractAsyncContextManager[WriteSession]:
        """A transaction of its own, for what takes more than one statement, and for traces that stay of what was refused."""
        return transaction(self.request, self.caller)


async def hot_call(request: Request, caller: CurrentCaller, idempotency_key: KeyHeader = None) -> HotCall:
    """The request's part of a hot command."""
    return HotCall(request, caller, await claim_of(request, caller, idempotency_key))


Hot = Annotated[HotCall, Depends(hot_call)]
