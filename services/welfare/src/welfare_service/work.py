"""/internal/v1/work: all that waits for the caller in this service; the gateway merges it with the others' lists."""

from datetime import date

from shared.security.acting import By
from shared.web.caller import CurrentCaller
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Read
from shared.web.work import LARGEST_WORK, WorkItem, WorkList
from welfare_service.cases import work as cases
from welfare_service.dossiers import work as dossiers
from welfare_service.payouts import work as payouts

router = api_router("/internal/v1/work", "internal")


@router.get("")
async def list_work(session: Read, caller: CurrentCaller, clock: CurrentClock) -> WorkList:
    """What waits for the caller by right and place, what is due first; every part is a few index ranges."""
    today = By.caller(caller, clock.now()).today
    limit = LARGEST_WORK + 1
    items: list[WorkItem] = []
    for part in (cases, dossiers, payouts):
        items += await part.waiting(session, caller, today, limit)
    items.sort(key=lambda item: (item.due_on or date.max, item.since, item.id))
    return WorkList(items=items[:LARGEST_WORK], more=len(items) > LARGEST_WORK)
