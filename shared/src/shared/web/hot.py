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
from shared.database.session import WriteSession, as_columns
from shared.security.policy import Caller
from shared.web.caller import CurrentCaller
from shared.web.idempotency import COLUMNS, Claim, KeyHeader, claim_of
from shared.web.session import HotStatement, database_of, transaction

_KEPT: Final = f""", kept AS (
    INSERT INTO idempotency_keys ({COLUMNS})
    SELECT $2::bytea, $3::text, $4::text, $5::bytea, $6::int, $7::bytea, $8::timestamptz FROM s
)"""  # noqa: S608 - COLUMNS is a constant
_CREATED: Final = 201
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
        status: int = _CREATED,
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
            await call.replay()
            raise
        return row, response


class HotChoice:
    """As `HotCommand`, for commands whose outcome the statement itself finds out: each has one of several replies made before it.

    One statement carries out many of them, of many callers: the row that they meet on is locked, and the transaction committed,
    once for all. Each of their values comes as an array; `nth` is the place in it, from 1.
    """

    def __init__(self, parts: str, chosen: str, replies: int) -> None:
        """`chosen` is the part with a row for each command that is not refused: its `nth`, and the number of its true `reply`,
        from 1 to `replies`. Of the others nothing is kept.

        `parts` are those before the kept replies, each with its comma; parameters from $9 on are the arrays of the commands' own
        values, then what they share.
        """
        self._statement = HotStatement(f"""{parts}, kept AS (
    INSERT INTO idempotency_keys ({COLUMNS})
    SELECT ($2::bytea[])[nth], ($3::text[])[nth], ($4::text[])[nth], ($5::bytea[])[nth], $6::int,
        ($7::bytea[])[(nth - 1) * {replies} + reply], ($8::timestamptz[])[nth] FROM {chosen}
) SELECT nth, reply FROM {chosen}""")  # noqa: S608 - of the module that writes the command

    async def run(
        self, database: Database, scope: Scope, choosing: "Sequence[Choosing]", *shared: Any
    ) -> list[Response | None]:
        """Run and commit; the true replies in the order of the commands, None for each that is refused.

        Raises what asyncpg raises, with nothing done: a broken unique index among them, where two requests of one kind meet.
        """
        claims = [one.call.claim for one in choosing]
        rows = await self._statement.fetch(
            database,
            scope,
            [claim.subject for claim in claims],
            [claim.route for claim in claims],
            [claim.key for claim in claims],
            [claim.body for claim in claims],
            _CREATED,
            [sealed for one in choosing for sealed in one.sealed],
            [claim.now for claim in claims],
            *as_columns(one.values for one in choosing),
            *shared,
        )
        chosen = {row["nth"]: row["reply"] for row in rows}
        return [
            one.replies[chosen[nth] - 1] if nth in chosen else None for nth, one in enumerate(choosing, 1)
        ]


class Choosing:
    """One command for a `HotChoice`: the replies that it may have, and its own values."""

    def __init__(
        self,
        call: "HotCall",
        *values: Any,
        replies: Sequence[BaseModel],
        headers: dict[str, str] | None = None,
    ) -> None:
        """Make and seal the replies; `values` are for the arrays from $9 on."""
        self.call = call
        self.values = values
        self.replies = [
            Response(reply.model_dump_json(), _CREATED, headers, "application/json") for reply in replies
        ]
        self.sealed = [call.claim.sealed(reply) for reply in self.replies]


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

    async def replay(self) -> None:
        """Raise Replay if this was done before: a repetition finds its own first effect in its way. Raises Invalid as well."""
        async with self.database.read(self.scope) as session:
            await self.claim.replay(session)

    def apart(self) -> AbstractAsyncContextManager[WriteSession]:
        """A transaction of its own, for what takes more than one statement, and for traces that stay of what was refused."""
        return transaction(self.request, self.caller)


async def hot_call(request: Request, caller: CurrentCaller, idempotency_key: KeyHeader = None) -> HotCall:
    """The request's part of a hot command."""
    return HotCall(request, caller, await claim_of(request, caller, idempotency_key))


Hot = Annotated[HotCall, Depends(hot_call)]
