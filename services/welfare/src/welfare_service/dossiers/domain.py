"""A dossier: one household's hardship file, and the steps of gathering, deciding and closing it. Pure: no IO.

Every step raises `version` by one and returns the history entry of that version; one version is one event. What came along
by itself (aid that was paid, a review that fell due) lies beside the dossier and makes no version.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from shared.contracts.welfare import DossierStatus, HardshipClass
from shared.kernel.errors import About, Conflict, Forbidden, Invalid, NotFound
from shared.security.acting import By
from welfare_service.dossiers.kinds import (
    Cause,
    CloseReason,
    DocumentType,
    Exclusion,
    Health,
    Insurance,
    LineKind,
    Occupation,
    Relation,
)

#: Persons of one household; more is a mistake of entry.
MOST_PERSONS: Final = 30
#: Lines of one person.
MOST_LINES: Final = 100
#: How many dossiers a user may unmask in one day of China.
UNMASK_DAILY_CAP: Final = 50
#: Why a file was handed over, beside the dissolution of its unit, and why it is to be looked at again.
MEMBER_TRANSFERRED: Final = "member-transferred"


class Happening(StrEnum):
    """What a history entry tells."""

    DRAFTED = "drafted"
    CHANGED = "changed"
    PERSON_ADDED = "person-added"
    PERSON_CHANGED = "person-changed"
    PERSON_REMOVED = "person-removed"
    LINES_ENTERED = "lines-entered"
    SPLIT = "split"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    CLASSIFIED = "classified"
    CLOSED = "closed"
    HANDED_OVER = "handed-over"


#: Who did one of these has gathered, and does not decide.
GATHERING: Final = frozenset(
    {
        Happening.DRAFTED,
        Happening.CHANGED,
        Happening.PERSON_ADDED,
        Happening.PERSON_CHANGED,
        Happening.PERSON_REMOVED,
        Happening.LINES_ENTERED,
        Happening.SPLIT,
        Happening.SUBMITTED,
    }
)


@dataclass(eq=False, kw_only=True)
class HistoryEntry:
    """What made one version of a dossier. `reason` is a code; words of a person are sealed in `note_sealed`."""

    dossier_id: UUID
    version: int
    happening: Happening
    happened_at: datetime
    on_date: date
    organisation_id: UUID
    actor_issuer: str
    actor_subject: str
    reason: str | None = None
    note_sealed: bytes | None = None


@dataclass(eq=False, kw_only=True)
class Line:
    """One amount of a person: received, or spent, in the twelve months up to `on_date` or on that day."""

    id: UUID
    person_id: UUID
    kind: LineKind
    on_date: date
    amount_sealed: bytes


@dataclass(eq=False, kw_only=True)
class Person:
    """Somebody of the household. `is_standing` while in a dossier that is not closed: nobody stands in two."""

    id: UUID
    dossier_id: UUID
    member_id: UUID | None
    relation: Relation
    health: Health
    insurance: Insurance
    occupation: Occupation
    is_able: bool
    birth_year: int | None
    document_type: DocumentType
    name_sealed: bytes | None
    document_sealed: bytes | None
    document_blind: bytes | None
    last4_blind: bytes | None
    phone_sealed: bytes | None
    illness_sealed: bytes | None
    data_key_wrapped: bytes | None
    key_version: int
    entered_on: date
    left_on: date | None = None
    is_standing: bool = True
    lines: list[Line] = field(default_factory=list)

    @property
    def is_head(self) -> bool:
        """Whether the household is called after this person."""
        return self.relation is Relation.HEAD


class Leaving(NamedTuple):
    """Who leaves for a household of their own, who is its head, and which unit keeps the new file (None: the same)."""

    person_ids: tuple[UUID, ...]
    head_id: UUID
    organisation_id: UUID | None = None


@dataclass(eq=False, kw_only=True)
class Dossier:
    """A household's file; `persons` are those who stand in it (or stood in it when it was closed), with their lines.

    `head_sequence` is the version of the head's membership that the file followed last.
    """

    id: UUID
    number: str
    organisation_id: UUID
    path: str
    status: DossierStatus = DossierStatus.DRAFT
    primary_cause: Cause
    secondary_cause: Cause | None
    exclusions: list[str]
    hardship_class: HardshipClass = HardshipClass.NONE
    classified_on: date | None = None
    recheck_on: date | None = None
    awaiting_since: datetime | None = None
    data_key_wrapped: bytes
    key_version: int
    head_sequence: int = 0
    version: int = 1
    created_at: datetime
    updated_at: datetime
    persons: list[Person] = field(default_factory=list)

    @property
    def member_ids(self) -> tuple[UUID, ...]:
        """The members among the persons."""
        return tuple(sorted(person.member_id for person in self.persons if person.member_id))

    @property
    def _about(self) -> About:
        return About("dossier", self.id, self.path)

    def person(self, person_id: UUID) -> Person:
        """One of the persons. Raises NotFound."""
        for person in self.persons:
            if person.id == person_id:
                return person
        raise NotFound("not-found")

    def drafted(self, by: By) -> HistoryEntry:
        """The first entry: the file was begun."""
        self._check_household()
        return self._entry(Happening.DRAFTED, by)

    def change(
        self, primary: Cause, secondary: Cause | None, exclusions: Collection[Exclusion], by: By
    ) -> HistoryEntry:
        """Other causes or exclusions."""
        self._must_live()
        self.primary_cause, self.secondary_cause = primary, secondary
        self.exclusions = sorted({exclusion.value for exclusion in exclusions})
        return self._gathered(Happening.CHANGED, by)

    def add_person(self, person: Person, by: By) -> HistoryEntry:
        """One more person."""
        self._must_live()
        self.persons.append(person)
        self._check_household()
        return self._gathered(Happening.PERSON_ADDED, by)

    def person_changed(self, by: By) -> HistoryEntry:
        """Something about one of the persons is different now."""
        self._must_live()
        self._check_household()
        return self._gathered(Happening.PERSON_CHANGED, by)

    def remove_person(self, person_id: UUID, by: By) -> HistoryEntry:
        """Somebody left the household or died; never the head, without whom the file is another one's."""
        self._must_live()
        person = self.person(person_id)
        if person.is_head:
            raise Conflict("dossier-head-stays")
        person.is_standing, person.left_on = False, by.today
        self.persons.remove(person)
        return self._gathered(Happening.PERSON_REMOVED, by)

    def enter_lines(self, person_id: UUID, lines: Sequence[Line], by: By) -> HistoryEntry:
        """Put these amounts in the place of what the person had."""
        self._must_live()
        self.person(person_id).lines = list(lines)
        return self._gathered(Happening.LINES_ENTERED, by)

    def split(self, person_ids: Collection[UUID], by: By) -> tuple[list[Person], HistoryEntry]:
        """Let persons leave for a household of their own, all at once; the head stays."""
        self._must_live()
        leaving = [self.person(person_id) for person_id in person_ids]
        if any(person.is_head for person in leaving):
            raise Conflict("dossier-head-stays")
        self.persons = [person for person in self.persons if person not in leaving]
        return leaving, self._gathered(Happening.SPLIT, by)

    def submit(self, by: By) -> HistoryEntry:
        """Ask for the decision."""
        self._must_live()
        if self.awaiting_since:
            raise Conflict("dossier-awaits-decision")
        entry = self._gathered(Happening.SUBMITTED, by)
        self.awaiting_since = by.at
        return entry

    def give_back(self, note_sealed: bytes, by: By) -> HistoryEntry:
        """Return it to those who gather, with a reason."""
        self._must_await()
        self.awaiting_since = None
        return self._entry_of_next(Happening.RETURNED, by, note_sealed=note_sealed)

    def classify(
        self, hardship_class: HardshipClass, gatherers: Collection[tuple[str, str]], by: By
    ) -> HistoryEntry:
        """Decide the class. Raises Forbidden for whoever gathered: four eyes are two persons."""
        self._must_await()
        if (by.issuer, by.subject) in gatherers:
            raise Forbidden("dossier-four-eyes", about=self._about)
        self.awaiting_since = None
        self.hardship_class, self.classified_on = hardship_class, by.today
        # Without hardship nothing is opened; a file that is open goes on until somebody closes it.
        if hardship_class is not HardshipClass.NONE:
            self.status = DossierStatus.OPEN
        return self._entry_of_next(Happening.CLASSIFIED, by, reason=hardship_class.value)

    def close(self, reason: CloseReason, note_sealed: bytes | None, by: By) -> HistoryEntry:
        """End the file; its persons may stand in another one from now on."""
        self._must_live()
        self.status, self.awaiting_since, self.recheck_on = DossierStatus.CLOSED, None, None
        for person in self.persons:
            person.is_standing = False
        return self._entry_of_next(Happening.CLOSED, by, reason=reason.value, note_sealed=note_sealed)

    def hand_over(
        self, organisation_id: UUID, path: str, by: By, *, reason: str | None = None
    ) -> HistoryEntry:
        """Another unit keeps the file from now on; what waits for a decision waits there."""
        self.organisation_id, self.path = organisation_id, path
        return self._entry_of_next(Happening.HANDED_OVER, by, reason=reason)

    def follow(
        self, member_id: UUID, sequence: int, organisation_id: UUID, path: str, by: By
    ) -> HistoryEntry | None:
        """A member's affiliation of version `sequence` is with this unit: the file of the household that he heads goes along.

        None when nothing is different: he is not its head, it is closed or there already, or a later version came before.
        """
        leads = any(person.is_head and person.member_id == member_id for person in self.persons)
        if not leads or self.status is DossierStatus.CLOSED or sequence <= self.head_sequence:
            return None
        self.head_sequence = sequence
        if organisation_id == self.organisation_id:
            return None
        return self.hand_over(organisation_id, path, by, reason=MEMBER_TRANSFERRED)

    def _gathered(self, happening: Happening, by: By) -> HistoryEntry:
        # What was submitted is no longer what there is: it has to be submitted anew.
        self.awaiting_since = None
        return self._entry_of_next(happening, by)

    def _entry_of_next(
        self, happening: Happening, by: By, *, reason: str | None = None, note_sealed: bytes | None = None
    ) -> HistoryEntry:
        self.version += 1
        self.updated_at = by.at
        return self._entry(happening, by, reason, note_sealed)

    def _entry(
        self, happening: Happening, by: By, reason: str | None = None, note_sealed: bytes | None = None
    ) -> HistoryEntry:
        return HistoryEntry(
            dossier_id=self.id,
            version=self.version,
            happening=happening,
            happened_at=by.at,
            on_date=by.today,
            organisation_id=self.organisation_id,
            actor_issuer=by.issuer,
            actor_subject=by.subject,
            reason=reason,
            note_sealed=note_sealed,
        )

    def _check_household(self) -> None:
        heads = sum(person.is_head for person in self.persons)
        if heads != 1:
            raise Invalid("dossier-one-head", field="relation")
        if len(self.persons) > MOST_PERSONS:
            raise Invalid("dossier-too-many-persons", field="persons", most=MOST_PERSONS)

    def _must_live(self) -> None:
        if self.status is DossierStatus.CLOSED:
            raise Conflict("dossier-closed", about=self._about)

    def _must_await(self) -> None:
        self._must_live()
        if self.awaiting_since is None:
            raise Conflict("dossier-not-submitted")
