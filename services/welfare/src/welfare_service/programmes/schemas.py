"""Bodies of requests and replies about programmes."""

from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from shared.kernel.money import MAX_FEN
from shared.kernel.texts import Language, text
from shared.web.body import Body
from welfare_service.programmes.domain import AmountRule, Programme, ProgrammeKind, Terms
from welfare_service.programmes.eligibility import Reason
from welfare_service.programmes.repository import BudgetFigures, UnitCount

#: A whole number of fen above zero: no text, no fraction, nothing beyond any budget.
FenField = Annotated[int, Field(strict=True, gt=0, le=MAX_FEN, description="fen")]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class TermsBody(Body):
    """What a programme lays down. `eligibility` is the rule, {"everybody": true} for no condition."""

    budget_id: UUID
    name: Name
    kind: ProgrammeKind
    starts_on: date
    ends_on: date
    amount_rule: AmountRule
    fixed_fen: FenField | None = None
    cap_per_time_fen: FenField | None = None
    cap_per_year_fen: FenField | None = None
    eligibility: dict[str, Any] = Field(
        description="all, any, not of: hardship_class, age, gender, employment_form, within, member_months, not_helped",
        examples=[
            {"all": [{"hardship_class": ["deep", "relative"]}, {"not_helped": {"months": 12, "by": "any"}}]}
        ],
    )

    def terms(self) -> Terms:
        """The terms. Raises Invalid where they contradict each other."""
        return Terms(**self.model_dump(exclude={"budget_id", "organisation_id"}))


class ProgrammeBody(TermsBody):
    """A new programme of a unit, for it and all below it."""

    organisation_id: UUID


class OwnProgrammeReply(BaseModel):
    """A programme that a member can apply for: what it pays and until when, nothing of the budget behind it."""

    id: UUID
    name: str
    kind: ProgrammeKind
    starts_on: date
    ends_on: date
    amount_rule: AmountRule
    fixed_fen: int | None
    cap_per_time_fen: int | None
    cap_per_year_fen: int | None

    @classmethod
    def of(cls, programme: Programme) -> Self:
        """As it stands."""
        return cls.model_validate(programme, from_attributes=True)


class ProgrammeReply(OwnProgrammeReply):
    """A programme, as those see it who run it."""

    organisation_id: UUID
    budget_id: UUID
    eligibility: dict[str, Any]
    version: int


class PreviewBody(Body):
    """Whom the programme would help: in the subtree of a unit (default: the programme's), each with `amount_fen`.

    The amount is the fixed one by default, or the cap of a time.
    """

    organisation_id: UUID | None = None
    amount_fen: FenField | None = None


class UnitReply(BaseModel):
    """A unit directly below the one asked for, with all below it; or that unit itself."""

    organisation_id: UUID
    name: str
    people: int
    cost_fen: int


class PreviewReply(BaseModel):
    """People and cost. `available_fen` is null when the caller does not see the budget. Ages are by year of birth.

    `as_of` is the time up to which this service knows what membership has committed; null while unknown.
    """

    as_of: datetime | None
    people: int
    amount_fen: int
    cost_fen: int
    available_fen: int | None
    affordable: bool | None
    units: list[UnitReply]

    @classmethod
    def of(
        cls, counts: list[UnitCount], amount: int, budget: BudgetFigures | None, as_of: datetime | None
    ) -> Self:
        """The sum of the units."""
        people = sum(count.people for count in counts)
        cost, available = people * amount, budget.available_fen if budget else None
        return cls(
            as_of=as_of,
            people=people,
            amount_fen=amount,
            cost_fen=cost,
            available_fen=available,
            affordable=None if available is None else cost <= available,
            units=[UnitReply(**count._asdict(), cost_fen=count.people * amount) for count in counts],
        )


class MemberBody(Body):
    """The member asked about; `member_sequence` is the version that the caller saw."""

    member_id: UUID
    member_sequence: Annotated[int, Field(strict=True, ge=1)] | None = None


class ReasonReply(BaseModel):
    """A criterion in the way. `negated`: it held, and the rule excludes those for whom it holds."""

    code: str
    negated: bool
    text: str

    @classmethod
    def of(cls, reason: Reason, language: Language) -> Self:
        """In the reader's language."""
        code = f"eligibility-{reason.criterion}"
        words = text(f"{code}-excluded" if reason.negated else code, language)
        return cls(code=code, negated=reason.negated, text=words)


class EligibilityReply(BaseModel):
    """Whether one member may be helped, and every reason against it."""

    eligible: bool
    reasons: list[ReasonReply]
    programme_version: int
