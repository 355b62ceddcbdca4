"""The dashboard of a unit: one indexed read, whatever the size of the subtree, also while every owner is down."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query

from gateway_service.consumers import VIEWS
from gateway_service.dashboard import use_cases
from gateway_service.dashboard.schemas import Dashboard
from shared.contracts.events_service import ACTIVITIES
from shared.contracts.membership import MEMBERS
from shared.contracts.welfare import CASES
from shared.directory.organisations import path_of_organisation
from shared.kernel.clock import china_date
from shared.kernel.errors import NotFound
from shared.messaging.freshness import as_of
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Read

router = api_router("/api/v1/organisations", "views")

#: Before any federation was founded: so the days before `on` exist, too. And longer than anybody plans ahead.
_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)


@router.get("/{organisation_id}/dashboard")
async def dashboard(
    organisation_id: UUID,
    caller: CurrentCaller,
    session: Read,
    clock: CurrentClock,
    on: Annotated[
        date | None,
        Query(
            ge=_FIRST_DAY,
            le=_LAST_DAY,
            description="Day whose end is shown, by the tree of that day; today when left out",
        ),
    ] = None,
    days: Annotated[int, Query(ge=1, le=366, description="Days of joined and left, up to `on`")] = 30,
) -> Dashboard:
    """Members by status, gender, age band and employment form, who came and went; aid and activities. By today's rights."""
    path = await path_of_organisation(session, organisation_id)
    if path is None:
        raise NotFound("not-found")
    caller.require(Action.DASHBOARD_READ, path)
    found = await use_cases.read_dashboard(
        session,
        organisation_id,
        on or china_date(clock.now()),
        days,
        with_aid=caller.allows(Action.CASE_READ, path),
    )
    found.as_of = await as_of(session, VIEWS, MEMBERS)
    found.activities.as_of = await as_of(session, VIEWS, ACTIVITIES)
    if found.aid:
        found.aid.as_of = await as_of(session, VIEWS, CASES)
    return found
