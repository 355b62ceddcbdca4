"""What one can do with a member: one function per verb, each in the transaction that it is given.

Order of locks: an organisation first, then the member (`organisations.repository.get_to_stand_on`).
"""

from collections.abc import Callable
from datetime import date
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from membership_service.members import events, repository, sealing
from membership_service.members.domain import (
    MAY_APPLY,
    UNMASK_DAILY_CAP,
    Act,
    Details,
    HistoryEntry,
    Member,
)
from membership_service.members.people import Person, check_person
from membership_service.members.schemas import ChangeBody
from membership_service.organisations import repository as organisations
from shared.contracts.membership import Gender
from shared.database.failures import violated_constraint
from shared.database.session import WriteSession
from shared.kernel.errors import Conflict, Invalid, NotFound, TooMany, Unavailable
from shared.security.acting import By
from shared.security.fields import PersonKey
from shared.security.keys import KeyRing
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version

#: How many people registered elsewhere a user may meet in one day; more looks like fishing for members.
HINT_DAILY_CAP = 100
#: How many people nobody knows a user may ask for in one day: whoever enters households asks for children too.
MISS_DAILY_CAP = 1000
#: When a cap of the day is used up, it is worth asking again in an hour at the earliest.
_AN_HOUR = 3600


async def record(
    session: WriteSession, member: Member, entry: HistoryEntry, details: dict[str, str] | None = None
) -> None:
    """Write a step: the member's row under its version, the history entry, the audit entry with `details`, and last the event."""
    try:
        await session.flush()
    except IntegrityError as error:
        match violated_constraint(error):
            case "uq_members_document_blind":
                raise Conflict("member-exists", field="document_number") from None
            case "uq_members_user":
                raise Conflict("user-already-member", field="subject") from None
        raise
    repository.add_entry(session, entry)
    session.audit(f"member.{entry.happening}", "member", member.id, details, path=member.path)
    session.emit(events.event_of(member, entry))


async def apply_again(
    session: WriteSession, caller: Caller, by: By, ring: KeyRing, organisation_id: UUID, person: Person
) -> Member | None:
    """Let a person whose document is known apply again, wherever the row stands today; None: a member elsewhere.

    None is the one permitted hint about somebody outside the caller's scope: it is counted and audited here,
    so the caller of this function commits before refusing. Raises TooMany beyond the day's cap, Conflict for a member in sight.
    """
    unit = await organisations.get_to_stand_on(session, organisation_id)
    caller.require(Action.MEMBER_APPLY, unit.path)
    unit.must_stand()
    blinds = sealing.document_blinds(ring, person.document_type, person.document_number)
    found = await repository.find_by_document(session, blinds)
    if found is None:
        # Freed or erased since the first attempt.
        raise Unavailable("database-busy", retry_after=1)
    is_visible = any(found.path.startswith(root) for root in caller.visible_paths())
    if found.status not in MAY_APPLY:
        if is_visible:
            raise Conflict("member-exists", field="document_number")
        await count_hint(session, by)
        session.audit("member.hint", "member", found.id, path=found.path)
        return None
    if not is_visible:
        await session.widen_scope(found.path)
    member = await repository.get_for_change(session, found.id)
    details = sealing.details(ring, member.id, person, _key_of(ring, member))
    entry = member.apply_again(details, unit.id, unit.path, Act(by, by.today))
    await record(session, member, entry)
    return member


async def count_hint(session: WriteSession, by: By) -> None:
    """Count one look beyond one's own scope. Raises TooMany when the day's are used up."""
    if not await repository.use_today(session, by.issuer, by.subject, "hint", by.today, HINT_DAILY_CAP):
        raise TooMany("too-many-look-ups", retry_after=_AN_HOUR)


async def count_miss(session: WriteSession, by: By) -> None:
    """Count one look for a document that gave nothing away but that. Raises TooMany when the day's are used up."""
    if not await repository.use_today(session, by.issuer, by.subject, "miss", by.today, MISS_DAILY_CAP):
        raise TooMany("too-many-look-ups", retry_after=_AN_HOUR)


async def approve(session: WriteSession, caller: Caller, by: By, member_id: UUID, version: int) -> Member:
    """Admit an applicant, from today."""
    member = await _take(session, caller, Action.MEMBER_APPROVE, member_id, version)
    entry = member.approve(await repository.next_member_number(session), Act(by, by.today))
    await record(session, member, entry)
    return member


Step = Callable[[Member, Act], HistoryEntry]


async def step(
    session: WriteSession,
    caller: Caller,
    action: Action,
    act: Act,
    member_id: UUID,
    version: int,
    do: Step,
) -> Member:
    """Carry out a step that needs nothing but the member: return, retain, restore, withdraw, decease."""
    member = await _take(session, caller, action, member_id, version)
    await record(session, member, do(member, act))
    return member


async def change(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    member_id: UUID,
    version: int,
    body: ChangeBody,
) -> Member:
    """Correct or complete what is known of a person. Raises Invalid when nothing would change."""
    member = await _take(session, caller, Action.MEMBER_CHANGE, member_id, version)
    person = _changed(ring, member, body, by.today)
    await _refuse_document_of_another(session, ring, member, person)
    details = sealing.details(ring, member.id, person, _key_of(ring, member))
    entry = member.change(details, Act(by, by.today, body.reason))
    await record(session, member, entry)
    return member


async def link(
    session: WriteSession, caller: Caller, by: By, member_id: UUID, version: int, issuer: str, subject: str
) -> Member:
    """Say with which account a member signs in. Raises Conflict when the account is another member's."""
    member = await _take(session, caller, Action.MEMBER_CHANGE, member_id, version)
    await record(
        session,
        member,
        member.link(issuer, subject, Act(by, by.today)),
        {"issuer": issuer, "subject": subject},
    )
    return member


async def unlink(session: WriteSession, caller: Caller, by: By, member_id: UUID, version: int) -> Member:
    """Take the account away. Raises Conflict when there is none."""
    member = await _take(session, caller, Action.MEMBER_CHANGE, member_id, version)
    was = {"issuer": member.user_issuer or "", "subject": member.user_subject or ""}
    await record(session, member, member.unlink(Act(by, by.today)), was)
    return member


async def unmask(
    session: WriteSession, caller: Caller, by: By, ring: KeyRing, member_id: UUID, reason: str
) -> sealing.Opened:
    """Show what is masked: a right, a reason, an audit entry and a daily cap."""
    member = await repository.get(session, member_id)
    caller.require(Action.MEMBER_UNMASK, member.path)
    if not await repository.use_today(session, by.issuer, by.subject, "unmask", by.today, UNMASK_DAILY_CAP):
        raise TooMany("unmask-cap-reached", retry_after=_AN_HOUR, cap=UNMASK_DAILY_CAP)
    opened = sealing.opened(ring, member)
    if opened is None:
        raise Conflict("member-erased")
    session.audit("member.unmask", "member", member.id, {"reason": reason}, path=member.path)
    return opened


async def erase(
    session: WriteSession, caller: Caller, by: By, member_id: UUID, version: int, reason: str
) -> Member:
    """Destroy the data key and everything personal. What stays is a pseudonym, and this reason in the audit."""
    member = await _take(session, caller, Action.MEMBER_ERASE, member_id, version)
    entry = member.erase(Act(by, by.today, reason))
    entry.reason = None
    await record(session, member, entry, {"reason": reason})
    await repository.forget_reasons(session, member.id)
    return member


async def own(session: WriteSession, caller: Caller) -> Member:
    """The member who is the caller; it puts the own row, and nothing a use case hands out beyond it, into scope."""
    found = await repository.find_by_user(session, caller.issuer, caller.subject)
    if found is None:
        raise NotFound("no-own-member")
    await session.widen_scope(found.path)
    return await repository.get(session, found.id)


async def apply_for_oneself(
    session: WriteSession,
    by: By,
    ring: KeyRing,
    member_id: UUID,
    organisation_id: UUID,
    person: Person,
) -> Member | None:
    """A signed-in user asks to join. Who is known already (also from former times) goes to the registrar, who knows faces.

    None is for those: a hint like that of `apply_again`, so the caller of this function commits before refusing.
    """
    path = await repository.organisation_path(session, organisation_id)
    if path is None:
        raise NotFound("not-found")
    if await repository.find_by_user(session, by.issuer, by.subject) is not None:
        # Before the look-up: whoever is somebody already could try numbers without end, and only what is found is counted.
        raise Conflict("user-already-member", field="subject")
    blinds = sealing.document_blinds(ring, person.document_type, person.document_number)
    found = await repository.find_by_document(session, blinds)
    if found is not None:
        await count_hint(session, by)
        session.audit("member.hint", "member", found.id, path=found.path)
        return None
    await session.widen_scope(path)
    unit = await organisations.get_to_stand_on(session, organisation_id)
    unit.must_stand()
    details: Details = sealing.details(ring, member_id, person)
    member, entry = Member.apply(member_id, details, unit.id, unit.path, Act(by, by.today))
    member.user_issuer, member.user_subject = by.issuer, by.subject
    session.add(member)
    await record(session, member, entry)
    return member


async def take_back_own(
    session: WriteSession, caller: Caller, by: By, version: int, reason: str | None
) -> Member:
    """The caller takes the own application back while nobody has answered it."""
    found = await own(session, caller)
    member = await repository.get_for_change(session, found.id)
    require_version(version, member.version)
    await record(session, member, member.take_back(Act(by, by.today, reason)))
    return member


async def _take(
    session: WriteSession, caller: Caller, action: Action, member_id: UUID, version: int
) -> Member:
    """The member, locked, if the caller may do `action` and has seen this version."""
    member = await repository.get_for_change(session, member_id)
    caller.require(action, member.path)
    require_version(version, member.version)
    return member


async def _refuse_document_of_another(
    session: WriteSession, ring: KeyRing, member: Member, person: Person
) -> None:
    """While index keys are rotated the unique index guards the current one only."""
    older = sealing.document_blinds(ring, person.document_type, person.document_number)[1:]
    found = await repository.find_by_document(session, older)
    if found is not None and found.id != member.id:
        raise Conflict("member-exists", field="document_number")


def _key_of(ring: KeyRing, member: Member) -> PersonKey:
    return PersonKey.opened(ring, member.data_key_wrapped, member.key_version)


def _changed(ring: KeyRing, member: Member, body: ChangeBody, today: date) -> Person:
    """The person as known, with what `body` gives in its place, checked as a whole."""
    known = sealing.opened(ring, member)
    if known is None:
        raise Conflict("member-erased")
    if not body.model_fields_set - {"reason"}:
        raise Invalid("member-unchanged")
    has_new_document = body.document_number is not None or body.document_type is not None
    known_gender = None if has_new_document or member.gender is Gender.UNKNOWN else member.gender
    return check_person(
        name=body.name if body.name is not None else member.name,
        document_type=body.document_type or member.document_type,
        document_number=body.document_number or known.document_number,
        phone=body.phone if "phone" in body.model_fields_set else known.phone,
        gender=body.gender or known_gender,
        birth_date=body.birth_date or (None if has_new_document else known.birth_date),
        employment_form=body.employment_form or member.employment_form,
        today=today,
    )
