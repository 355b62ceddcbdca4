"""Routes of members. Thin: parse, call one use case or query, show."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response, status

from membership_service.members import joining, lookup, repository, use_cases
from membership_service.members.domain import Act, Member
from membership_service.members.people import Person, check_person
from membership_service.members.repository import Filters
from membership_service.members.schemas import (
    ApplicationBody,
    ApplicationReply,
    ChangeBody,
    DeceaseBody,
    DetailReply,
    HistoryReply,
    MemberReply,
    NamesBody,
    NamesReply,
    NoteBody,
    PersonBody,
    ReasonBody,
    SearchBody,
    UnmaskedReply,
    UserBody,
)
from shared.contracts.membership import MemberStatus
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Change, ChangeCall
from shared.web.conditional import set_etag
from shared.web.hot import Hot
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read, Write

router = api_router("/api/v1/members", "members")
own_router = api_router("/api/v1/me", "me")


@router.post("/applications", status_code=status.HTTP_201_CREATED, response_model=ApplicationReply)
async def apply(body: ApplicationBody, hot: Hot) -> Response:
    """Ask to join an organisation on somebody's behalf. Who left or was returned may apply again, on the same row."""
    caller, ring = hot.caller, hot.claim.ring
    by = By.caller(caller, hot.claim.now)
    person = _person(body, by)
    try:
        return await joining.apply(hot, by, body.organisation_id, person)
    except joining.DocumentTaken:
        async with hot.apart() as session:
            await hot.claim.hold(session)
            member = await use_cases.apply_again(session, caller, by, ring, body.organisation_id, person)
            if member is not None:
                response = _application(member, person)
                await hot.claim.keep(session, response)
                return response
    raise Conflict("member-elsewhere", field="document_number")


@router.get("")
async def list_members(
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    organisation: Annotated[UUID | None, Query(description="this unit and all below it")] = None,
    status: MemberStatus | None = None,
    escalated: Annotated[bool, Query(description="only applications not answered in time")] = False,  # noqa: FBT002
) -> Page[MemberReply]:
    """Members of a subtree, by place in the tree."""
    within = await lookup.roots(session, caller, organisation)
    filters = Filters(status=status, is_escalated=escalated)
    members, cursor = await lookup.page(session, ring, within, filters, page)
    return Page(items=[MemberReply.of(member, ring) for member in members], next_cursor=cursor)


@router.post("/search")
async def search(body: SearchBody, session: Read, caller: CurrentCaller, ring: Keys) -> Page[MemberReply]:
    """Members of a subtree by name, pinyin, initials, last four of the document number, or phone."""
    filters = lookup.filters_of(body, ring)
    within = await lookup.roots(session, caller, body.organisation_id)
    members, cursor = await lookup.page(session, ring, within, filters, body.page)
    return Page(items=[MemberReply.of(member, ring) for member in members], next_cursor=cursor)


@router.post("/names")
async def names(body: NamesBody, session: Read, caller: CurrentCaller) -> NamesReply:
    """Names by id, of members in the caller's charge: events carry no names."""
    caller.require_somewhere(Action.MEMBER_READ)
    return NamesReply(names=await repository.names(session, body.ids))


@router.get("/{member_id}")
async def get_member(
    member_id: UUID, session: Read, caller: CurrentCaller, ring: Keys, response: Response
) -> DetailReply:
    """One member, numbers masked."""
    member = await repository.get(session, member_id)
    caller.require(Action.MEMBER_READ, member.path)
    set_etag(response, member.version)
    warnings = ["phone-shared"] if await repository.count_same_phone(session, member) else []
    return DetailReply.detail(member, ring, warnings)


@router.get("/{member_id}/history")
async def get_history(
    member_id: UUID, page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys
) -> Page[HistoryReply]:
    """What happened to a member, oldest first."""
    member = await repository.get(session, member_id)
    caller.require(Action.MEMBER_READ, member.path)
    purpose = f"member-history:{member_id}"
    after = page.after(ring, purpose)
    found = await repository.history(session, member_id, after[0] if after else 0, page.limit + 1)
    entries, cursor = page_of(found, page.limit, ring, purpose, lambda entry: [entry.version])
    return Page(items=[HistoryReply.of(entry) for entry in entries], next_cursor=cursor)


@router.patch("/{member_id}")
async def change(member_id: UUID, body: ChangeBody, call: Change) -> MemberReply:
    """Correct or complete what is known of a person."""
    member = await use_cases.change(
        call.session, call.caller, call.by, call.ring, member_id, call.version, body
    )
    return _shown(call, member)


@router.put("/{member_id}/user")
async def link(member_id: UUID, body: UserBody, call: Change) -> MemberReply:
    """Say with which account a member signs in, so that members see themselves: one account is one member."""
    user = (body.issuer or call.caller.issuer, body.subject)
    member = await use_cases.link(call.session, call.caller, call.by, member_id, call.version, *user)
    return _shown(call, member)


@router.delete("/{member_id}/user")
async def unlink(member_id: UUID, call: Change) -> MemberReply:
    """Take a member's account away: nobody signs in as this member any more."""
    member = await use_cases.unlink(call.session, call.caller, call.by, member_id, call.version)
    return _shown(call, member)


@router.post("/{member_id}/unmasking")
async def unmask(
    member_id: UUID, body: ReasonBody, session: Write, caller: CurrentCaller, ring: Keys, clock: CurrentClock
) -> UnmaskedReply:
    """The plain document number, phone and birth date: audited, counted, with a reason."""
    by = By.caller(caller, clock.now())
    opened = await use_cases.unmask(session, caller, by, ring, member_id, body.reason)
    return UnmaskedReply(id=member_id, **opened._asdict())


@router.post("/{member_id}/approval")
async def approve(member_id: UUID, call: Change) -> MemberReply:
    """Admit an applicant from today and issue the member number. Not by who applied: four eyes are two persons."""
    member = await use_cases.approve(call.session, call.caller, call.by, member_id, call.version)
    return _shown(call, member)


@router.post("/{member_id}/erasure")
async def erase(member_id: UUID, body: ReasonBody, call: Change) -> MemberReply:
    """Make a person unreadable for good."""
    member = await use_cases.erase(call.session, call.caller, call.by, member_id, call.version, body.reason)
    return _shown(call, member)


def _step_route(
    path: str, action: Action, do: use_cases.Step, body_type: type[NoteBody | ReasonBody], summary: str
) -> None:
    """A route for a step that needs the member, a reason, and for a death its day."""

    async def take_step(
        member_id: UUID,
        body: body_type,  # type: ignore[valid-type]
        call: Change,
    ) -> MemberReply:
        act = Act(call.by, getattr(body, "on", call.by.today), body.reason)  # type: ignore[attr-defined]
        member = await use_cases.step(call.session, call.caller, action, act, member_id, call.version, do)
        return _shown(call, member)

    take_step.__doc__ = summary
    router.add_api_route(f"/{{member_id}}/{path}", take_step, methods=["POST"], name=path)


_step_route(
    "return", Action.MEMBER_APPROVE, Member.return_application, ReasonBody, "Give an application back."
)
_step_route(
    "retention", Action.MEMBER_CHANGE, Member.retain, ReasonBody, "Keep membership without duties (保留会籍)."
)
_step_route("restoration", Action.MEMBER_CHANGE, Member.restore, NoteBody, "Active again on re-employment.")
_step_route(
    "withdrawal",
    Action.MEMBER_END,
    Member.withdraw,
    ReasonBody,
    "Leave the union, or take back an application.",
)
_step_route("death", Action.MEMBER_END, Member.decease, DeceaseBody, "The member died on a day.")


@own_router.get("/member")
async def get_own_member(
    session: Write, caller: CurrentCaller, ring: Keys, response: Response
) -> DetailReply:
    """The caller's own membership, numbers masked: members see themselves."""
    member = await use_cases.own(session, caller)
    set_etag(response, member.version)
    return DetailReply.detail(member, ring, [])


@own_router.post("/application", status_code=status.HTTP_201_CREATED, response_model=ApplicationReply)
async def apply_for_oneself(body: ApplicationBody, hot: Hot) -> Response:
    """Ask to join for oneself."""
    by = By.caller(hot.caller, hot.claim.now)
    ring = hot.claim.ring
    person = _person(body, by)
    async with hot.apart() as session:
        await hot.claim.hold(session)
        member = await use_cases.apply_for_oneself(session, by, ring, new_id(), body.organisation_id, person)
        if member is not None:
            response = _application(member, person)
            await hot.claim.keep(session, response)
            return response
    raise Conflict("member-known-ask-registrar", field="document_number")


@own_router.post("/application/withdrawal")
async def take_back_own_application(body: NoteBody, call: Change) -> MemberReply:
    """Take the own application back while nobody has answered it."""
    return _shown(
        call, await use_cases.take_back_own(call.session, call.caller, call.by, call.version, body.reason)
    )


def _shown(call: ChangeCall, member: Member) -> MemberReply:
    call.leaves(member.version)
    return MemberReply.of(member, call.ring)


def _person(body: PersonBody, by: By) -> Person:
    return check_person(**body.model_dump(exclude={"organisation_id"}), today=by.today)


def _reply(member: Member, person: Person) -> ApplicationReply:
    return ApplicationReply(
        id=member.id,
        organisation_id=member.organisation_id,
        status=member.status,
        version=member.version,
        warnings=list(person.warnings),
    )


def _application(member: Member, person: Person) -> Response:
    headers = {"ETag": f'"{member.version}"'}
    body = _reply(member, person).model_dump_json()
    return Response(body, status.HTTP_201_CREATED, headers, "application/json")
