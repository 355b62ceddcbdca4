"""`GET /api/v1/work`: what waits for me, since when, due when; asked from all owners at once."""

from datetime import date
from typing import Final

from fastapi import Request
from pydantic import ValidationError

from gateway_service.composing.asking import Answer, Question, ask_all, deadline_of
from gateway_service.work.schemas import WaitingItem, WaitingWork
from shared.web.caller import CurrentCaller
from shared.web.routing import api_router
from shared.web.session import CurrentClock
from shared.web.work import WorkList

router = api_router("/api/v1/work", "composed")

OWNERS: Final = ("membership", "welfare", "events")


@router.get("")
async def waiting_work(request: Request, caller: CurrentCaller, clock: CurrentClock) -> WaitingWork:
    """What the caller's posts ask for in every service. A service that does not answer is named, the others' work is there."""
    del caller  # asked for so that only somebody signed in gets as far as the owners
    now = clock.now()
    questions = [Question(owner, "/internal/v1/work") for owner in OWNERS]
    read = [_read(answer) for answer in await ask_all(request, deadline_of(request), *questions)]
    items = [
        WaitingItem(**dict(item), service=answer.owner)
        for answer, found in read
        if found
        for item in found.items
    ]
    items.sort(key=lambda item: (item.due_on or date.max, item.since.timestamp(), item.id))
    return WaitingWork(
        as_of=now,
        items=items,
        more=any(found.more for _, found in read if found),
        missing=[line for answer, _ in read for line in answer.missing(answer.owner, request)],
    )


def _read(answer: Answer) -> tuple[Answer, WorkList | None]:
    if answer.value is None:
        return answer, None
    try:
        return answer, WorkList.model_validate(answer.value)
    except ValidationError:
        return answer.unreadable(), None
