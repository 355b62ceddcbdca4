"""`GET /api/v1/organisations/{id}/live`: server-sent events that say "read the dashboard again"."""

import re
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Header, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from gateway_service.live.hub import LiveHub
from shared.database.scope import Scope
from shared.directory.organisations import path_of_organisation
from shared.kernel.errors import Forbidden, NotFound, TooMany, Unauthenticated, Unavailable
from shared.security.policy import Action
from shared.web.caller import CurrentCaller, bearer_token
from shared.web.routing import api_router
from shared.web.session import database_of

router = api_router("/api/v1/organisations", "views")

_HEARTBEAT_SECONDS = 15
#: Of an event, as this service gives it; what else a client sends is no number.
_NUMBER = re.compile(r"[0-9]{1,18}")
#: A stream that is open says nothing longer than this to whose token or post has ended (S4 asks for 60 s in all).
RECHECK_SECONDS = 20.0


@router.get("/{organisation_id}/live", response_class=EventSourceResponse)
async def follow(
    organisation_id: UUID,
    request: Request,
    caller: CurrentCaller,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventSourceResponse:
    """Events `changed` and `reload`, each with the unit's id alone; a reconnecting client is told to reload at once.

    Of changed figures of aid hear only those who may read cases there. 429 for an eleventh stream of a user.
    """
    async with database_of(request).read(Scope(caller.visible_paths())) as session:
        path = await path_of_organisation(session, organisation_id)
    if path is None:
        raise NotFound("not-found")
    caller.require(Action.DASHBOARD_READ, path)
    hub: LiveHub = request.app.state.live
    user = (caller.issuer, caller.subject)
    subscriber = hub.subscriber(user, path, hears_aid=caller.allows(Action.CASE_READ, path))

    async def may_go_on() -> bool:
        # As the next request of this client would be judged.
        try:
            now = await request.app.state.callers.of(bearer_token(request))
            now.require(Action.DASHBOARD_READ, path)
        except (Unauthenticated, NotFound, Forbidden):
            return False
        except (TooMany, Unavailable):
            return True
        subscriber.hears_aid = now.allows(Action.CASE_READ, path)
        return True

    async def stream() -> AsyncIterator[ServerSentEvent]:
        number = int(last_event_id) + 1 if last_event_id and _NUMBER.fullmatch(last_event_id) else 0
        if last_event_id is not None:
            yield ServerSentEvent(event="reload", data=str(organisation_id), id=str(number))
        async for news in hub.changes(subscriber, RECHECK_SECONDS):
            if news is None:
                if await may_go_on():
                    continue
                return
            number += 1
            yield ServerSentEvent(event=news, data=str(organisation_id), id=str(number))

    return EventSourceResponse(stream(), ping=_HEARTBEAT_SECONDS)
