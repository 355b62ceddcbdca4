"""What one can do with a dossier: gather, split, close, look at; one function per verb, in the transaction that it is given.

`class_of_member`, `record_aid` and `add_review_task` are for other slices of this service.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from shared.contracts.welfare import DossierStatus, HardshipClass
from shared.database.failures import violated_constraint
from shared.database.session import ReadSession, WriteSession
from shared.directory.organisations import place_of_organisation
from shared.kernel.errors import Conflict, NotFound, TooMany
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from shared.security.acting import By
from shared.security.fields import PersonKey
from shared.security.keys import KeyRing
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version
from welfare_service.dossiers import events, repository, sealing
from welfare_service.dossiers.classification import Amount
from welfare_service.dossiers.domain import (
    GATHERING,
    UNMASK_DAILY_CAP,
    Dossier,
    HistoryEntry,
    Leaving,
    Person,
)
from welfare_service.dossiers.kinds import Cause, CloseReason, Exclusion, Relation
from welfare_service.dossiers.records import ReviewKind
from welfare_service.dossiers.repository import Filters
from welfare_service.dossiers.reviews import use_cases as reviews

#: A dossier and the version that the caller has seen; with one of its persons.
Place = tuple[UUID, int]
PersonPlace = tuple[UUID, int, UUID]
#: When a cap of the day is used up, it is worth asking again in an hour at the earliest.
_AN_HOUR = 3600


async def record(
    session: WriteSession,
    dossier: Dossier,
    entry: HistoryEntry,
    by: By,
    previous_class: HardshipClass | None = None,
) -> None:
    """Write a step: the rows under the dossier's version, history, who gathered, audit, and last the event.

    Raises Conflict for somebody who stands in another dossier: nobody stands in two (I12).
    """
    try:
        await session.flush()
    except IntegrityError as error:
        if violated_constraint(error) in {"uq_dossier_persons_document", "uq_dossier_persons_member"}:
            raise Conflict("person-in-dossier", field="document_number") from None
        raise
    session.add(entry)
    await session.flush()
    if entry.happening in GATHERING:
        await repository.add_gatherer(session, dossier.id, by.issuer, by.subject)
    session.audit(f"dossier.{entry.happening}", "dossier", dossier.id, path=dossier.path)
    session.emit(events.event_of(dossier, entry, previous_class))


async def draft(
    session: WriteSession, caller: Caller, by: By, ring: KeyRing, dossier: Dossier, persons: Sequence[Person]
) -> Dossier:
    """Begin a file at a unit; `dossier.path` and `number` are found here."""
    path = await place_of_organisation(session, dossier.organisation_id)
    if path is None:
        raise NotFound("not-found")
    caller.require(Action.DOSSIER_CHANGE, path)
    key = PersonKey.new(ring)
    dossier.path, dossier.number = path, await repository.next_number(session)
    dossier.data_key_wrapped, dossier.key_version = key.wrapped, key.version
    dossier.persons = list(persons)
    entry = dossier.drafted(by)
    session.add(dossier)
    # There is no relationship that would tell the order: the file is there before its persons.
    await session.flush()
    for person in persons:
        await _refuse_standing(session, ring, person)
    session.add_all(persons)
    await record(session, dossier, entry, by)
    return dossier


async def change(
    session: WriteSession,
    caller: Caller,
    by: By,
    place: Place,
    causes: tuple[Cause, Cause | None],
    exclusions: Sequence[Exclusion],
) -> Dossier:
    """Other causes or exclusions."""
    dossier = await take(session, caller, Action.DOSSIER_CHANGE, *place)
    await record(session, dossier, dossier.change(*causes, exclusions, by), by)
    return dossier


async def add_person(
    session: WriteSession, caller: Caller, by: By, ring: KeyRing, place: Place, person: Person
) -> Dossier:
    """One more person of the household."""
    dossier = await take(session, caller, Action.DOSSIER_CHANGE, *place)
    await _refuse_standing(session, ring, person)
    session.add(person)
    await record(session, dossier, dossier.add_person(person, by), by)
    return dossier


async def remove_person(session: WriteSession, caller: Caller, by: By, place: PersonPlace) -> Dossier:
    """Somebody left the household."""
    dossier_id, version, person_id = place
    dossier = await take(session, caller, Action.DOSSIER_CHANGE, dossier_id, version)
    await record(session, dossier, dossier.remove_person(person_id, by), by)
    return dossier


async def enter_amounts(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    place: PersonPlace,
    amounts: Sequence[Amount],
) -> Dossier:
    """Put these amounts in the place of what a person had."""
    dossier_id, version, person_id = place
    dossier = await take(session, caller, Action.DOSSIER_CHANGE, dossier_id, version)
    person = dossier.person(person_id)
    if person.data_key_wrapped is None:
        raise Conflict("person-erased")
    key = sealing.key_of(ring, person)
    lines = [sealing.new_line(key, person_id, one.kind, one.fen, one.on) for one in amounts]
    entry = dossier.enter_lines(person_id, lines, by)
    await repository.replace_lines(session, person, lines)
    await record(session, dossier, entry, by)
    return dossier


async def split(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    place: Place,
    leaving: Leaving,
) -> Dossier:
    """Move persons into a new file in one step.

    Amounts go along with their persons; who gathered them decides on neither file.
    """
    dossier = await take(session, caller, Action.DOSSIER_CHANGE, *place)
    unit = leaving.organisation_id or dossier.organisation_id
    path = await place_of_organisation(session, unit)
    if path is None:
        raise NotFound("not-found")
    caller.require(Action.DOSSIER_CHANGE, path)
    persons, left = dossier.split(leaving.person_ids, by)
    key = PersonKey.new(ring)
    other = Dossier(
        id=new_id(),
        number=await repository.next_number(session),
        organisation_id=unit,
        path=path,
        primary_cause=dossier.primary_cause,
        secondary_cause=dossier.secondary_cause,
        exclusions=[],
        data_key_wrapped=key.wrapped,
        key_version=key.version,
        created_at=by.at,
        updated_at=by.at,
        persons=persons,
    )
    session.add(other)
    # The new file is there before persons move into it, and its head is head of nothing before.
    await session.flush()
    for person in persons:
        person.dossier_id = other.id
        if person.id == leaving.head_id:
            person.relation = Relation.HEAD
    begun = other.drafted(by)
    await record(session, dossier, left, by)
    await record(session, other, begun, by)
    for issuer, subject in await repository.gatherers(session, dossier.id):
        await repository.add_gatherer(session, other.id, issuer, subject)
    return other


async def close(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    place: Place,
    reason: CloseReason,
    note: str | None,
) -> Dossier:
    """End a file; its open review tasks end with it."""
    dossier = await take(session, caller, Action.DOSSIER_CHANGE, *place)
    sealed = seal_note(ring, dossier, note) if note else None
    entry = dossier.close(reason, sealed, by)
    await reviews.complete_all(session, dossier.id, by)
    await record(session, dossier, entry, by)
    return dossier


async def read(session: WriteSession, caller: Caller, dossier_id: UUID) -> Dossier:
    """Look at a file: each look is audited, so this needs a write session."""
    dossier = await repository.get(session, dossier_id)
    caller.require(Action.DOSSIER_READ, dossier.path)
    session.audit("dossier.read", "dossier", dossier.id, path=dossier.path)
    return dossier


async def unmask(session: WriteSession, caller: Caller, by: By, dossier_id: UUID, reason: str) -> Dossier:
    """Let a file be shown in plain words: a right, a reason, an audit entry and a daily cap."""
    dossier = await repository.get(session, dossier_id)
    caller.require(Action.DOSSIER_UNMASK, dossier.path)
    if not await repository.use_today(session, by.issuer, by.subject, "dossier", by.today, UNMASK_DAILY_CAP):
        raise TooMany("dossier-unmask-cap-reached", retry_after=_AN_HOUR, cap=UNMASK_DAILY_CAP)
    session.audit("dossier.unmask", "dossier", dossier.id, {"reason": reason}, path=dossier.path)
    return dossier


async def search(
    session: WriteSession, within: Sequence[str], filters: Filters, after: repository.After | None, limit: int
) -> Sequence[Dossier]:
    """Dossiers by number or by the head's document; who looks somebody up is audited with every file that is found."""
    found = await repository.page(session, within, filters, after, limit)
    for dossier in found:
        session.audit("dossier.found", "dossier", dossier.id, path=dossier.path)
    return found


async def class_of_member(session: ReadSession, member_id: UUID) -> HardshipClass | None:
    """The class of the household in which a member stands; None without an open dossier."""
    standing = await repository.find_of_member(session, member_id)
    return None if standing is None or standing.status is not DossierStatus.OPEN else standing.hardship_class


async def record_aid(session: WriteSession, member_id: UUID, amount_fen: Fen, on: date) -> None:
    """Aid was paid to a member: write it down with the household, if the member stands in a dossier.

    Whether it counts as income is for the rules of its day to say, when the household is assessed.
    """
    standing = await repository.find_of_member(session, member_id)
    if standing is not None:
        await session.widen_scope(standing.path)
        await repository.add_aid(session, standing.id, member_id, amount_fen, on)


async def add_review_task(session: WriteSession, member_id: UUID, reason: str, at: datetime) -> None:
    """Ask those in charge to look at a member's dossier again; `reason` is a code. Nothing without a dossier; never twice."""
    standing = await repository.find_of_member(session, member_id)
    if standing is not None:
        await session.widen_scope(standing.path)
        await reviews.add(session, standing, ReviewKind.MEMBER, reason, at, member_id)


async def take(
    session: WriteSession, caller: Caller, action: Action, dossier_id: UUID, version: int
) -> Dossier:
    """The dossier, locked, if the caller may do `action` and has seen this version."""
    dossier = await repository.get_for_change(session, dossier_id)
    caller.require(action, dossier.path)
    require_version(version, dossier.version)
    return dossier


def seal_note(ring: KeyRing, dossier: Dossier, note: str) -> bytes:
    """The note of the version that comes next."""
    column = sealing.note_column(dossier.version + 1)
    return sealing.seal_in_file(ring, dossier, sealing.HISTORY, column, dossier.id, note)


async def change_person(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    place: PersonPlace,
    given: Mapping[str, object],
) -> Dossier:
    """Correct what is known of a person; `given` holds columns by name, phone and illness in plain words."""
    dossier_id, version, person_id = place
    dossier = await take(session, caller, Action.DOSSIER_CHANGE, dossier_id, version)
    person = dossier.person(person_id)
    if person.data_key_wrapped is None:
        raise Conflict("person-erased")
    for name, value in given.items():
        if name in {"phone", "illness"}:
            sealing.reseal(ring, person, f"{name}_sealed", str(value) if value else None)
        else:
            setattr(person, name, value)
    await record(session, dossier, dossier.person_changed(by), by)
    return dossier


async def _refuse_standing(session: WriteSession, ring: KeyRing, person: Person) -> None:
    """While index keys are rotated the unique index guards the current one only."""
    known = sealing.opened(ring, person) if sealing.is_index_rotated(ring) else None
    if known is None:
        return
    keys = sealing.document_blinds(ring, person.document_type, known.document_number)
    if await repository.is_standing(session, keys):
        raise Conflict("person-in-dossier", field="document_number")
