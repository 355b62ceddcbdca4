"""The way of a command that is one SQL statement: scope, stored reply, rows and outbox row together.

The ids are made before the statement, so the reply is known before it too and is stored by the statement itself. A twin
waits on a unique index, breaks it, and is answered from the stored reply.
"""

from collections.abc import Sequence
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


class HotChoice:
    """As `HotCommand`, for a command whose outcome the statement itself finds out: one of several replies made before it."""

    def __init__(self, parts: str, chosen: str, result: str) -> None:
        """`chosen` is the part whose one row has the number of the true reply, from 1, in its column `reply`.

        `parts` are those before the kept reply, each with its comma, parameters from $9 on; `result` is the final SELECT, which
        gives that row, or none if the command is refused: then nothing is kept.
        """
        self._statement = HotStatement(f"""{parts}, kept AS (
    INSERT INTO idempotency_keys ({COLUMNS})
    SELECT $2::bytea, $3::text, $4::text, $5::bytea, $6::int, ($7::bytea[])[{chosen}.reply], $8::timestamptz FROM {chosen}
) {result}""")  # noqa: S608 - of the module that writes the command

    async def run(
        self,
        call: "HotCall",
        *arguments: Any,
        replies: Sequence[BaseModel],
        status: int = 201,
        headers: dict[str, str] | None = None,
    ) -> Response | None:
        """Run and commit; the true reply, None if refused. Raises as `HotCommand.run`."""
        responses = [
            Response(reply.model_dump_json(), status, headers, "application/json") for reply in replies
        ]
        stored = [call.claim.stored(response) for response in responses]
        subject, route, key, body, code, _, now = stored[0]
        sealed = [row[5] for row in stored]
        try:
            row = await self._statement.run(
                call.database, call.scope, subject, route, key, body, code, sealed, now, *arguments
            )
        except asyncpg.UniqueViolationError:
            await self._replay(call)
            raise
        if row is not None:
            chosen: int = row["reply"]
            return responses[chosen - 1]
        # A repetition finds its own first effect in its way.
        await self._replay(call)
        return None

    @staticmethod
    async def _replay(call: "HotCall") -> None:
        async with call.database.read(call.scope) as session:
            await call.claim.replay(session)


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
