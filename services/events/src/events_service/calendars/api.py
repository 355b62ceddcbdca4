"""Routes of calendar feeds. Thin: parse, call one use case or query, show."""

import secrets
from typing import Annotated, Final

from fastapi import Header, Path, Request, Response, status
from pydantic import BaseModel, Field

from events_service.calendars import domain, use_cases
from shared.database.scope import Scope
from shared.web.change import Once
from shared.web.routing import api_router
from shared.web.session import CurrentClock, database_of

router = api_router("/api/v1/calendars", "calendars")
own_router = api_router("/api/v1/me", "me")

_ICS: Final = "text/calendar"


class FeedReply(BaseModel):
    """The secret address of a feed; it is shown once, and is worth nothing when another is made."""

    path: str = Field(description="below the address of the gateway; whoever knows it reads the calendar")


@own_router.post("/calendar", status_code=status.HTTP_201_CREATED)
async def make_feed(call: Once) -> FeedReply:
    """Make a calendar feed of one's own activities, or renew it: the old address ends."""
    token = secrets.token_urlsafe(domain.TOKEN_BYTES)
    await use_cases.make(call.session, call.caller, call.by, token)
    return FeedReply(path=f"{router.prefix}/{token}.ics")


@router.get(
    "/{token}.ics",
    response_class=Response,
    responses={
        200: {"content": {_ICS: {}}, "description": "an iCalendar feed"},
        304: {"description": "as it was"},
    },
)
async def get_feed(
    token: Annotated[str, Path(max_length=200)],
    request: Request,
    clock: CurrentClock,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The feed, for calendar programmes: the secret in the address is all they have."""
    async with database_of(request).read(Scope.nothing()) as session:
        feed = await use_cases.read(session, token, clock.now())
    tag = domain.entity_tag(feed)
    headers = {"ETag": tag, "Cache-Control": f"private, max-age={domain.FRESH_SECONDS}"}
    if if_none_match is not None and tag in {
        one.strip().removeprefix("W/") for one in if_none_match.split(",")
    }:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(feed, headers=headers, media_type=f"{_ICS}; charset=utf-8")
