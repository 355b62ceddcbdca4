"""`GET /api/v1/cases/{id}/page`: the case and its history live from welfare, then all names in one batch from membership."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from fastapi import Request, Response
from pydantic import ValidationError

from gateway_service.case_page.schemas import CasePage, PersonName, PersonNames
from gateway_service.composing.asking import Answer, Question, ask_all, deadline_of
from shared.web.caller import CurrentCaller
from shared.web.routing import api_router
from shared.web.session import CurrentClock

router = api_router("/api/v1/cases", "composed")

#: What membership takes in one batch.
LARGEST_BATCH: Final = 500


@router.get("/{case_id}/page")
async def case_page(
    case_id: UUID, request: Request, response: Response, caller: CurrentCaller, clock: CurrentClock
) -> CasePage:
    """All that the page of a case shows. Without the case itself there is no page; history and names may be missing."""
    del caller  # asked for so that only somebody signed in gets as far as the owners
    now, deadline = clock.now(), deadline_of(request)
    address = f"/api/v1/cases/{case_id}"
    # A slow history takes no time away from the names: they are asked for as soon as the case is there.
    [history], (case, details, names) = await asyncio.gather(
        ask_all(request, deadline, Question("welfare", f"{address}/history")),
        _case_and_names(request, deadline, Question("welfare", address)),
    )
    if case.value is None:
        raise case.refusal()
    if case.etag:
        response.headers["ETag"] = case.etag
    return CasePage(
        as_of=now,
        case=case.value,
        history=history.value,
        names=names,
        missing=[*history.missing("history", request), *details.missing("names", request)],
    )


async def _case_and_names(
    request: Request, deadline: float, question: Question
) -> tuple[Answer, Answer, list[PersonName] | None]:
    [case] = await ask_all(request, deadline, question)
    people = sorted(set(_people(case.value)))[:LARGEST_BATCH]
    if not people:
        return case, Answer("membership", {}), []
    return case, *await _names(request, deadline, people)


async def _names(
    request: Request, deadline: float, people: list[UUID]
) -> tuple[Answer, list[PersonName] | None]:
    body = {"ids": [str(person) for person in people]}
    [answer] = await ask_all(
        request, deadline, Question("membership", "/internal/v1/members/details", body=body)
    )
    if answer.value is None:
        return answer, None
    try:
        return answer, PersonNames.model_validate(answer.value).items
    except ValidationError:
        return answer.unreadable(), None


def _people(node: Any) -> Iterator[UUID]:
    """Every member that an answer names, however deep."""
    match node:
        case dict():
            for key, value in node.items():
                if key in {"member_id", "member_ids"}:
                    yield from _ids(value)
                else:
                    yield from _people(value)
        case list():
            for value in node:
                yield from _people(value)


def _ids(value: Any) -> Iterator[UUID]:
    for one in value if isinstance(value, list) else [value]:
        with suppress(ValueError, TypeError, AttributeError):
            yield UUID(one)
