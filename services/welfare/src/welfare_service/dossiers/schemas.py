"""Bodies of requests and replies about dossiers. Unknown fields are refused: nobody sets a class or a status by body."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, Field

from shared.contracts.welfare import DossierStatus, HardshipClass
from shared.kernel import texts
from shared.kernel.money import MAX_FEN
from shared.security.keys import KeyRing
from shared.security.masking import mask_document, mask_name, mask_phone
from shared.web.body import MAX_REASON, Body, Reason
from shared.web.paging import PageBody
from welfare_service.dossiers import sealing
from welfare_service.dossiers.classification import Amount, Assessment
from welfare_service.dossiers.deciding import Recomputation
from welfare_service.dossiers.domain import (
    MOST_LINES,
    MOST_PERSONS,
    Dossier,
    Happening,
    HistoryEntry,
    Leaving,
    Person,
)
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
from welfare_service.dossiers.records import Decision, Outcome, Review, ReviewKind
from welfare_service.dossiers.sealing import Particulars
from welfare_service.rules.domain import RuleKey

_MAX_TEXT: Final = 100

Text = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]
#: Whole fen: never a float, a text, zero or less.
Fen = Annotated[int, Field(strict=True, gt=0, le=MAX_FEN, description="fen")]


class PersonBody(Body):
    """Somebody of a household. The year of birth may be left out for a resident ID, which says it."""

    name: Text
    document_type: DocumentType = DocumentType.RESIDENT_ID
    document_number: Text
    phone: Text | None = None
    illness: Annotated[str, Field(min_length=1, max_length=MAX_REASON)] | None = None
    birth_year: Annotated[int, Field(ge=1900, le=2200)] | None = None
    relation: Relation
    health: Health = Health.GOOD
    insurance: Insurance = Insurance.NONE
    occupation: Occupation
    is_able: bool = True

    def particulars(self) -> Particulars:
        """As the domain takes it."""
        return Particulars(**self.model_dump())


class DossierBody(Body):
    """Begin a file: the unit that keeps it, why the household is in hardship, and its head."""

    organisation_id: UUID
    primary_cause: Cause
    secondary_cause: Cause | None = None
    exclusions: list[Exclusion] = Field([], max_length=len(Exclusion))
    head: PersonBody


class ChangeBody(Body):
    """Causes and exclusions, all of them anew."""

    primary_cause: Cause
    secondary_cause: Cause | None = None
    exclusions: list[Exclusion] = Field([], max_length=len(Exclusion))


class PersonChangeBody(Body):
    """What is different about a person; what is left out stays. Whose document changed is entered anew."""

    phone: Text | None = None
    illness: Annotated[str, Field(min_length=1, max_length=MAX_REASON)] | None = None
    relation: Relation = Relation.OTHER
    health: Health = Health.GOOD
    insurance: Insurance = Insurance.NONE
    occupation: Occupation = Occupation.EMPLOYED
    is_able: bool = True


class LineBody(Body):
    """One amount: what came in or was spent in the twelve months up to `on`, or on that day."""

    kind: LineKind
    amount_fen: Fen
    on: date


class LinesBody(Body):
    """All amounts of a person, in the place of those before."""

    lines: Annotated[list[LineBody], Field(max_length=MOST_LINES)]

    def amounts(self) -> list[Amount]:
        """As the domain takes them."""
        return [Amount(line.kind, line.amount_fen, line.on) for line in self.lines]


class SplitBody(Body):
    """Who leaves for a household of their own, who is its head, and which unit keeps the new file (default: the same)."""

    person_ids: Annotated[list[UUID], Field(min_length=1, max_length=MOST_PERSONS)]
    head_id: UUID
    organisation_id: UUID | None = None

    def leaving(self) -> Leaving:
        """As the domain takes it."""
        return Leaving(tuple(dict.fromkeys(self.person_ids)), self.head_id, self.organisation_id)


class DecisionBody(Body):
    """The class that the approver saw in the assessment and agrees to."""

    hardship_class: HardshipClass


class ReasonBody(Body):
    """A step that needs a reason."""

    reason: Reason


class CloseBody(Body):
    """Why a file ends; the note is kept sealed."""

    reason: CloseReason
    note: Reason | None = None


class CompletionBody(Body):
    """What a review came to."""

    outcome: Outcome


class SearchBody(PageBody):
    """Look for a file by its number, or by the last four characters of its head's document."""

    organisation_id: UUID | None = None
    number: Annotated[str, Field(pattern=r"^[0-9]{1,12}$")] | None = None
    last_four: Annotated[str, Field(min_length=4, max_length=8)] | None = None


class DossierReply(BaseModel):
    """A dossier as it stands in lists: nobody is named."""

    id: UUID
    number: str
    organisation_id: UUID
    status: DossierStatus
    hardship_class: HardshipClass
    classified_on: date | None
    awaiting_since: datetime | None
    primary_cause: Cause
    secondary_cause: Cause | None
    version: int

    @classmethod
    def of(cls, dossier: Dossier) -> Self:
        """As it stands."""
        return cls.model_validate(dossier, from_attributes=True)


class LineReply(BaseModel):
    """One amount of a person; masked, only that there is one."""

    kind: LineKind
    amount_fen: int | None
    on: date


class PersonReply(BaseModel):
    """Somebody of the household, masked. Of the erased nothing is left but the place in the household."""

    id: UUID
    member_id: UUID | None
    name: str | None
    document_type: DocumentType
    document_number: str | None
    phone: str | None
    illness: str | None
    birth_year: int | None
    relation: Relation
    health: Health
    insurance: Insurance
    occupation: Occupation
    is_able: bool
    lines: list[LineReply]

    @classmethod
    def of(cls, person: Person, ring: KeyRing, *, masked: bool = True) -> Self:
        """The person; masked, an illness is told by a star alone, and an amount by its kind and day."""
        opened = sealing.opened(ring, person)
        shown: dict[str, Any] = {
            name: getattr(person, name)
            for name in cls.model_fields
            if name not in {"name", "document_number", "phone", "illness", "lines"}
        }
        values = opened._asdict() if opened else dict.fromkeys(sealing.Opened._fields)
        if opened and masked:
            values = {
                "name": mask_name(opened.name),
                "document_number": mask_document(opened.document_number),
                "phone": mask_phone(opened.phone) if opened.phone else None,
                "illness": "*" if opened.illness else None,
            }
        lines = [
            LineReply(kind=one.kind, amount_fen=None if masked else one.fen, on=one.on)
            for one in sealing.amounts(ring, person)
        ]
        return cls(**shown, **values, lines=lines)


class DetailReply(DossierReply):
    """A dossier with all who stand in it."""

    exclusions: list[Exclusion]
    persons: list[PersonReply]

    @classmethod
    def detail(cls, dossier: Dossier, ring: KeyRing, *, masked: bool = True) -> Self:
        """The whole file."""
        shown = DossierReply.of(dossier).model_dump()
        persons = [PersonReply.of(person, ring, masked=masked) for person in dossier.persons]
        return cls(**shown, exclusions=[Exclusion(one) for one in dossier.exclusions], persons=persons)


class ExplanationReply(BaseModel):
    """One line of the reckoning, in both languages."""

    code: str
    person_id: UUID | None
    amount_fen: int | None
    permille: int | None
    zh: str
    en: str


class AssessmentReply(BaseModel):
    """What the rules make of a household on a day; `net_fen` is per person and month, rounded down."""

    on: date
    hardship_class: HardshipClass
    net_fen: int
    lines: list[ExplanationReply]

    @classmethod
    def of(cls, assessment: Assessment) -> Self:
        """With the words of each line."""
        lines = [
            ExplanationReply(
                code=line.code,
                person_id=line.person_id,
                amount_fen=line.fen,
                permille=line.permille,
                zh=texts.text(f"dossier-line-{line.code}", "zh-CN"),
                en=texts.text(f"dossier-line-{line.code}", "en"),
            )
            for line in assessment.lines
        ]
        return cls(
            on=assessment.on,
            hardship_class=assessment.hardship_class,
            net_fen=assessment.net,
            lines=lines,
        )


class UsedRuleReply(BaseModel):
    """A rule that a decision rests on."""

    key: RuleKey
    id: UUID
    version: int


class DecisionReply(BaseModel):
    """A decision on the class."""

    id: UUID
    version: int
    decided_on: date
    decided_at: datetime
    decided_by_subject: str
    hardship_class: HardshipClass
    inputs_digest: str
    rules: list[UsedRuleReply]

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """As it was made."""
        shown = {name: getattr(decision, name) for name in cls.model_fields if name != "rules"}
        return cls(**shown, rules=[UsedRuleReply(**used._asdict()) for used in decision.used])


class DecisionsReply(BaseModel):
    """Several decisions."""

    items: list[DecisionReply]


class RecomputationReply(BaseModel):
    """An old decision recomputed from its own inputs and rules, and what is different today."""

    decision: DecisionReply
    is_same: bool
    recomputed: AssessmentReply
    inputs_changed: bool
    rules_changed: list[UsedRuleReply]
    today: AssessmentReply

    @classmethod
    def of(cls, found: Recomputation) -> Self:
        """With both reckonings."""
        return cls(
            decision=DecisionReply.of(found.decision),
            is_same=found.is_same,
            recomputed=AssessmentReply.of(found.again),
            inputs_changed=found.inputs_changed,
            rules_changed=[UsedRuleReply(**used._asdict()) for used in found.rules_changed],
            today=AssessmentReply.of(found.today),
        )


class HistoryReply(BaseModel):
    """What happened to a dossier and who did it; the note in the words of its writer."""

    version: int
    happening: Happening
    happened_at: datetime
    on: date
    organisation_id: UUID
    actor_issuer: str
    actor_subject: str
    reason: str | None
    note: str | None

    @classmethod
    def of(cls, entry: HistoryEntry, dossier: Dossier, ring: KeyRing) -> Self:
        """One step."""
        note = None
        if entry.note_sealed is not None:
            column = sealing.note_column(entry.version)
            note = sealing.open_in_file(ring, dossier, sealing.HISTORY, column, dossier.id, entry.note_sealed)
        shown = {name: getattr(entry, name) for name in cls.model_fields if name not in {"on", "note"}}
        return cls(on=entry.on_date, note=note, **shown)


class ReviewReply(BaseModel):
    """A task to look at a dossier again."""

    id: UUID
    kind: ReviewKind
    reason: str
    member_id: UUID | None
    since: datetime
    due_on: date | None
    done_at: datetime | None
    outcome: str | None

    @classmethod
    def of(cls, review: Review) -> Self:
        """As it stands."""
        return cls.model_validate(review, from_attributes=True)


class ReviewsReply(BaseModel):
    """Several reviews."""

    items: list[ReviewReply]
