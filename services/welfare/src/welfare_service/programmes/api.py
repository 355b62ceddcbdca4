"""Routes of programmes. Thin: parse, call one use case or query, show."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response, status

from shared.contracts.membership import MEMBERS
from shared.directory.organisations import subtrees
from shared.messaging.freshness import as_of
from shared.security.acting import By
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Change, Once
from shared.web.conditional import set_etag
from shared.web.language import CurrentLanguage
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read, Write, database_of
from welfare_service.consumers import DIRECTORY
from welfare_service.membership_client import Membership
from welfare_service.programmes import repository, use_cases
from welfare_service.programmes.schemas import (
    EligibilityReply,
    MemberBody,
    OwnProgrammeReply,
    PreviewBody,
    PreviewReply,
    ProgrammeBody,
    ProgrammeReply,
    ReasonReply,
    TermsBody,
)

router = api_router("/api/v1/programmes", "programmes")
own_router = api_router("/api/v1/me/programmes", "me")


@router.post("", status_code=status.HTTP_201_CREATED)
async def open_programme(body: ProgrammeBody, call: Once) -> ProgrammeReply:
    """Set up a programme of a unit, for its members and those of all units below it."""
    programme = await use_cases.open_programme(
        call.session, call.caller, call.by, body.organisation_id, body.budget_id, body.terms()
    )
    call.leaves(programme.version)
    return ProgrammeReply.of(programme)


@router.get("")
async def list_programmes(
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    clock: CurrentClock,
    organisation: Annotated[
        UUID | None, Query(description="for this unit: its own, those above and below")
    ] = None,
    running: Annotated[bool, Query(description="only those that take cases today")] = False,  # noqa: FBT002
) -> Page[ProgrammeReply]:
    """Programmes of a subtree and of the units above it, oldest first."""
    roots = await subtrees(session, caller, Action.PROGRAMME_READ, organisation)
    purpose = f"programmes:{roots}:{running}"
    after = page.after(ring, purpose)
    today = By.caller(caller, clock.now()).today
    found = await repository.page(
        session, roots, today if running else None, UUID(after[0]) if after else None, page.limit + 1
    )
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda programme: [str(programme.id)])
    return Page(items=[ProgrammeReply.of(programme) for programme in rows], next_cursor=cursor)


@router.get("/{programme_id}")
async def get_programme(
    programme_id: UUID, session: Read, caller: CurrentCaller, response: Response
) -> ProgrammeReply:
    """One programme."""
    caller.require_somewhere(Action.PROGRAMME_READ)
    programme = await repository.get(session, programme_id)
    set_etag(response, programme.version)
    return ProgrammeReply.of(programme)


@router.put("/{programme_id}")
async def change(programme_id: UUID, body: TermsBody, call: Change) -> ProgrammeReply:
    """Lay down new terms, for decisions from now on."""
    programme = await use_cases.change(
        call.session, call.caller, call.by, programme_id, call.version, body.budget_id, body.terms()
    )
    call.leaves(programme.version)
    return ProgrammeReply.of(programme)


@router.post("/{programme_id}/preview")
async def preview(
    programme_id: UUID, body: PreviewBody, session: Read, caller: CurrentCaller, clock: CurrentClock
) -> PreviewReply:
    """How many members it would help and what that costs, by unit."""
    by = By.caller(caller, clock.now())
    programme, counts, budget = await use_cases.preview(
        session, caller, by, programme_id, body.organisation_id
    )
    amount = body.amount_fen or programme.fixed_fen or programme.cap_per_time_fen or 0
    return PreviewReply.of(counts, amount, budget, await as_of(session, DIRECTORY, MEMBERS))


@router.post("/{programme_id}/eligibility")
async def eligibility(
    programme_id: UUID,
    body: MemberBody,
    request: Request,
    caller: CurrentCaller,
    clock: CurrentClock,
    membership: Membership,
    language: CurrentLanguage,
) -> EligibilityReply:
    """Whether one member may be helped, with every reason against it. Asks membership for the exact age."""
    by = By.caller(caller, clock.now())
    caller.require_somewhere(Action.CASE_READ)
    detail = await membership.detail(body.member_id)
    async with database_of(request).read(caller.scope()) as session:
        programme, judgement = await use_cases.judged(
            session, caller, by, programme_id, detail, body.member_sequence
        )
    return EligibilityReply(
        eligible=not judgement.reasons,
        reasons=[ReasonReply.of(reason, language) for reason in judgement.reasons],
        programme_version=programme.version,
    )


@own_router.get("")
async def list_own(
    page: PageQuery, session: Write, caller: CurrentCaller, ring: Keys, clock: CurrentClock
) -> Page[OwnProgrammeReply]:
    """What a member can apply for today: the programmes of the own unit and of those above it, oldest first."""
    purpose = f"own-programmes:{caller.issuer}:{caller.subject}"
    after = page.after(ring, purpose)
    found = await use_cases.running_for_oneself(
        session, caller, By.caller(caller, clock.now()), UUID(after[0]) if after else None, page.limit + 1
    )
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda programme: [str(programme.id)])
    return Page(items=[OwnProgrammeReply.of(programme) for programme in rows], next_cursor=cursor)
