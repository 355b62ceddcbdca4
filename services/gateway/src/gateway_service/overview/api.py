"""`GET /api/v1/members/{id}/overview`: live, in parallel, partial when an owner is down."""

from uuid import UUID

from fastapi import Request

from gateway_service.composing.asking import Question, ask_all, deadline_of
from gateway_service.overview.schemas import Overview, OverviewParts
from shared.kernel.errors import NotFound
from shared.web.caller import CurrentCaller
from shared.web.routing import api_router
from shared.web.session import CurrentClock

router = api_router("/api/v1/members", "composed")


@router.get("/{member_id}/overview")
async def overview(member_id: UUID, request: Request, caller: CurrentCaller, clock: CurrentClock) -> Overview:
    """Member, aid and activities in one answer. Each owner judges by the caller's own token what it shows, and audits it."""
    del caller  # asked for so that only somebody signed in gets as far as the owners
    now, of_member = clock.now(), {"member": str(member_id)}
    questions = {
        "membership": Question("membership", f"/api/v1/members/{member_id}"),
        "cases": Question("welfare", "/api/v1/cases", of_member),
        "dossiers": Question("welfare", "/api/v1/dossiers", of_member),
        "registrations": Question("events", "/api/v1/registrations", of_member),
    }
    answers = dict(
        zip(questions, await ask_all(request, deadline_of(request), *questions.values()), strict=True)
    )
    if answers["membership"].reason == "part-not-found":
        raise NotFound("not-found")
    return Overview(
        member_id=member_id,
        as_of=now,
        parts=OverviewParts(**{part: answer.value for part, answer in answers.items()}),
        missing=[line for part, answer in answers.items() for line in answer.missing(part, request)],
    )
