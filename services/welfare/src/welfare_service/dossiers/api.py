"""Routes of dossiers: gathering, looking, closing. Each look at a file is audited, so those routes write too."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Response, status

from shared.contracts.welfare import DossierStatus, HardshipClass
from shared.database.session import WriteSession
from shared.directory.organisations import subtrees
from shared.kernel.errors import Invalid
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Change, ChangeCall
from shared.web.conditional import IfMatch, set_etag
from shared.web.hot import Hot, HotCall
from shared.web.idempotency import Idempotent
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Write
from welfare_service.dossiers import repository, sealing, use_cases
from welfare_service.dossiers.domain import Dossier, Person
from welfare_service.dossiers.repository import Filters
from welfare_service.dossiers.schemas import (
    ChangeBody,
    CloseBody,
    DetailReply,
    DossierBody,
    DossierReply,
    HistoryReply,
    LinesBody,
    PersonBody,
    PersonChangeBody,
    ReasonBody,
    SearchBody,
    SplitBody,
)
from welfare_service.membership_client import Membership

router = api_router("/api/v1/dossiers", "dossiers")

_LAST_FOUR = 4
_NUMBER_DIGITS = 10


@router.post("", status_code=status.HTTP_201_CREATED, response_model=DetailReply)
async def draft(body: DossierBody, hot: Hot, membership: Membership) -> Response:
    """Begin a household's file with its head; membership says first whether that is a member."""
    caller, ring = hot.caller, hot.claim.ring
    caller.require_somewhere(Action.DOSSIER_CHANGE)
    by = By.caller(caller, hot.claim.now)
    dossier = Dossier(
        id=new_id(),
        number="",
        organisation_id=body.organisation_id,
        path="",
        primary_cause=body.primary_cause,
        secondary_cause=body.secondary_cause,
        exclusions=sorted({exclusion.value for exclusion in body.exclusions}),
        data_key_wrapped=b"",
        key_version=0,
        created_at=by.at,
        updated_at=by.at,
    )
    head = await _entered(hot, membership, dossier.id, body.head, by)
    async with hot.apart() as session:
        await hot.claim.hold(session)
        dossier = await use_cases.draft(session, caller, by, ring, dossier, [head])
        return await _kept(hot, session, dossier, status.HTTP_201_CREATED)


async def filters_of(
    status: DossierStatus | None = None,
    hardship_class: HardshipClass | None = None,
    awaiting: Annotated[bool, Query(description="only those that wait for a decision")] = False,  # noqa: FBT002
    member: Annotated[UUID | None, Query(description="only that in which this member stands")] = None,
) -> Filters:
    """What the query string asks for."""
    return Filters(status=status, hardship_class=hardship_class, is_awaiting=awaiting, member_id=member)


@router.get("")
async def list_dossiers(
    page: PageQuery,
    session: Write,
    caller: CurrentCaller,
    ring: Keys,
    filters: Annotated[Filters, Depends(filters_of)],
    organisation: Annotated[UUID | None, Query(description="this unit and all below it")] = None,
) -> Page[DossierReply]:
    """Dossiers of a subtree, by place in the tree; nobody is named. Looking for that of a member is audited as a look at it."""
    within = await subtrees(session, caller, Action.DOSSIER_READ, organisation)
    purpose = f"dossiers:{within}:{filters}"
    values = page.after(ring, purpose)
    after = (values[0], UUID(values[1])) if values else None
    found = await repository.page(session, within, filters, after, page.limit + 1)
    shown, cursor = page_of(found, page.limit, ring, purpose, lambda one: [one.path, str(one.id)])
    for dossier in shown if filters.member_id else ():
        session.audit("dossier.read", "dossier", dossier.id, path=dossier.path)
    return Page(items=[DossierReply.of(dossier) for dossier in shown], next_cursor=cursor)


@router.post("/search")
async def search(body: SearchBody, session: Write, caller: CurrentCaller, ring: Keys) -> Page[DossierReply]:
    """A file by its number, or files by the last four characters of their head's document."""
    if (body.number is None) == (body.last_four is None):
        raise Invalid("dossier-search-one-key", field="number")
    last_four = sealing.normalise(body.last_four) if body.last_four else None
    if last_four is not None and len(last_four) != _LAST_FOUR:
        raise Invalid("dossier-search-key-malformed", field="last_four")
    filters = Filters(
        number=body.number.zfill(_NUMBER_DIGITS) if body.number else None,
        last4_blinds=tuple(sealing.last4_blinds(ring, last_four)) if last_four else (),
    )
    within = await subtrees(session, caller, Action.DOSSIER_READ, body.organisation_id)
    purpose = f"dossier-search:{within}:{filters}"
    values = body.page.after(ring, purpose)
    after = (values[0], UUID(values[1])) if values else None
    found = await use_cases.search(session, within, filters, after, body.limit + 1)
    shown, cursor = page_of(found, body.limit, ring, purpose, lambda one: [one.path, str(one.id)])
    return Page(items=[DossierReply.of(dossier) for dossier in shown], next_cursor=cursor)


@router.get("/{dossier_id}")
async def get_dossier(
    dossier_id: UUID, session: Write, caller: CurrentCaller, ring: Keys, response: Response
) -> DetailReply:
    """One file, masked; the look is audited."""
    dossier = await use_cases.read(session, caller, dossier_id)
    set_etag(response, dossier.version)
    return DetailReply.detail(dossier, ring)


@router.get("/{dossier_id}/history")
async def get_history(
    dossier_id: UUID, page: PageQuery, session: Write, caller: CurrentCaller, ring: Keys
) -> Page[HistoryReply]:
    """What happened to a file, oldest first; the look is audited."""
    dossier = await use_cases.read(session, caller, dossier_id)
    purpose = f"dossier-history:{dossier_id}"
    after = page.after(ring, purpose)
    found = await repository.history(session, dossier_id, after[0] if after else 0, page.limit + 1)
    entries, cursor = page_of(found, page.limit, ring, purpose, lambda entry: [entry.version])
    return Page(items=[HistoryReply.of(entry, dossier, ring) for entry in entries], next_cursor=cursor)


@router.patch("/{dossier_id}")
async def change(dossier_id: UUID, body: ChangeBody, call: Change) -> DetailReply:
    """Other causes and exclusions."""
    causes = (body.primary_cause, body.secondary_cause)
    dossier = await use_cases.change(
        call.session, call.caller, call.by, (dossier_id, call.version), causes, body.exclusions
    )
    return shown(call, dossier)


@router.post("/{dossier_id}/persons", status_code=status.HTTP_201_CREATED, response_model=DetailReply)
async def add_person(
    dossier_id: UUID, body: PersonBody, version: IfMatch, hot: Hot, membership: Membership
) -> Response:
    """One more person of the household; membership says first whether that is a member."""
    hot.caller.require_somewhere(Action.DOSSIER_CHANGE)
    by = By.caller(hot.caller, hot.claim.now)
    person = await _entered(hot, membership, dossier_id, body, by)
    async with hot.apart() as session:
        await hot.claim.hold(session)
        place, ring = (dossier_id, version), hot.claim.ring
        dossier = await use_cases.add_person(session, hot.caller, by, ring, place, person)
        return await _kept(hot, session, dossier, status.HTTP_201_CREATED)


@router.patch("/{dossier_id}/persons/{person_id}")
async def change_person(
    dossier_id: UUID, person_id: UUID, body: PersonChangeBody, call: Change
) -> DetailReply:
    """Correct what is known of a person."""
    given = {name: getattr(body, name) for name in body.model_fields_set}
    if not given:
        raise Invalid("person-unchanged")
    place = (dossier_id, call.version, person_id)
    dossier = await use_cases.change_person(call.session, call.caller, call.by, call.ring, place, given)
    return shown(call, dossier)


@router.post("/{dossier_id}/persons/{person_id}/removal")
async def remove_person(dossier_id: UUID, person_id: UUID, call: Change) -> DetailReply:
    """Somebody left the household or died."""
    place = (dossier_id, call.version, person_id)
    return shown(call, await use_cases.remove_person(call.session, call.caller, call.by, place))


@router.put("/{dossier_id}/persons/{person_id}/lines")
async def enter_lines(dossier_id: UUID, person_id: UUID, body: LinesBody, call: Change) -> DetailReply:
    """Income and rigid spending of a person, in the place of what was there."""
    amounts = body.amounts()
    if any(one.on > call.by.today for one in amounts):
        raise Invalid("amount-in-future", field="lines")
    place = (dossier_id, call.version, person_id)
    dossier = await use_cases.enter_amounts(call.session, call.caller, call.by, call.ring, place, amounts)
    return shown(call, dossier)


@router.post("/{dossier_id}/split", status_code=status.HTTP_201_CREATED)
async def split(dossier_id: UUID, body: SplitBody, call: Change, _: Idempotent) -> DetailReply:
    """Move persons into a household of their own; the reply is the new file."""
    other = await use_cases.split(
        call.session, call.caller, call.by, call.ring, (dossier_id, call.version), body.leaving()
    )
    return shown(call, other)


@router.post("/{dossier_id}/close")
async def close(dossier_id: UUID, body: CloseBody, call: Change) -> DetailReply:
    """End a file."""
    dossier = await use_cases.close(
        call.session, call.caller, call.by, call.ring, (dossier_id, call.version), body.reason, body.note
    )
    return shown(call, dossier)


@router.post("/{dossier_id}/unmasking")
async def unmask(
    dossier_id: UUID, body: ReasonBody, session: Write, caller: CurrentCaller, ring: Keys, clock: CurrentClock
) -> DetailReply:
    """The whole file in plain words: audited, counted, with a reason."""
    by = By.caller(caller, clock.now())
    dossier = await use_cases.unmask(session, caller, by, dossier_id, body.reason)
    return DetailReply.detail(dossier, ring, masked=False)


def shown(call: ChangeCall, dossier: Dossier) -> DetailReply:
    """The file after a step."""
    call.leaves(dossier.version)
    return DetailReply.detail(dossier, call.ring)


async def _entered(
    hot: HotCall, membership: Membership, dossier_id: UUID, body: PersonBody, by: By
) -> Person:
    """The person as it is stored. Asked before any transaction: nobody waits on a lock for another service."""
    person = sealing.new_person(hot.claim.ring, dossier_id, body.particulars(), by.today)
    number = sealing.normalise(body.document_number)
    member = await membership.find_by_document(body.document_type.value, number)
    person.member_id = member.id if member else None
    return person


async def _kept(hot: HotCall, session: WriteSession, dossier: Dossier, code: int) -> Response:
    """The reply, stored for a repetition."""
    body = DetailReply.detail(dossier, hot.claim.ring).model_dump_json()
    response = Response(body, code, {"ETag": f'"{dossier.version}"'}, "application/json")
    await hot.claim.keep(session, response)
    return response
