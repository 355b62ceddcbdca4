"""Routes of lotteries. Thin: parse, call one use case or query, show."""

from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

from fastapi import Request, status
from fastapi.responses import StreamingResponse

from events_service.lottery import repository, use_cases
from events_service.lottery.domain import unpacked
from events_service.lottery.schemas import LotteryReply
from shared.kernel.errors import Conflict
from shared.web.caller import CurrentCaller
from shared.web.change import Once
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Read, database_of

router = api_router("/api/v1/activities", "lottery")

_CSV: Final = "text/csv"
_HEADER: Final = "registration_id,pool,rank,result\r\n"


@router.get("/{activity_id}/lottery")
async def get_lottery(
    activity_id: UUID, session: Read, caller: CurrentCaller, clock: CurrentClock
) -> LotteryReply:
    """The commitment from the announcement on; entries, digest, seats and seed once it is drawn."""
    activity, lottery = await use_cases.read(session, caller, clock, activity_id)
    return LotteryReply.of(lottery, activity)


@router.post("/{activity_id}/lottery/draw", status_code=status.HTTP_200_OK)
async def draw(activity_id: UUID, call: Once) -> LotteryReply:
    """Draw, once. Registration must be closed."""
    activity, lottery = await use_cases.draw_lots(call.session, call.caller, call.by, call.ring, activity_id)
    return LotteryReply.of(lottery, activity)


@router.get(
    "/{activity_id}/lottery/entries.csv",
    response_class=StreamingResponse,
    responses={
        200: {"content": {_CSV: {}}, "description": "one line for each entry, in the order of the draw"}
    },
)
async def list_entries(
    activity_id: UUID, request: Request, caller: CurrentCaller, clock: CurrentClock
) -> StreamingResponse:
    """Every entry of a drawn lottery by its registration id, with pool, rank and result: all that the draw depends on."""
    database = database_of(request)

    # A block is a transaction of its own: what was drawn never changes, and a slow reader holds no connection.
    async def block(number: int) -> bytes | None:
        async with database.read(caller.scope()) as session:
            _, lottery = await use_cases.read(session, caller, clock, activity_id)
            if lottery.drawn_at is None:
                raise Conflict("lottery-not-drawn")
            return await repository.block(session, activity_id, number)

    first = await block(0)

    async def lines() -> AsyncIterator[str]:
        yield _HEADER
        number, found = 0, first
        while found is not None:
            yield "".join(
                f"{entry.registration_id},{entry.pool},{entry.rank},"
                f"{'confirmed' if entry.is_confirmed else 'waiting'}\r\n"
                for entry in unpacked(number, found)
            )
            number += 1
            found = await block(number)

    return StreamingResponse(lines(), media_type=_CSV)
