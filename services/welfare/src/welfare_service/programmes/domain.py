"""A programme: a kind of help with its days, its budget, its amounts and whom it is for. Pure: no IO."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from shared.kernel.errors import Conflict, Invalid
from shared.kernel.money import Fen, yuan
from shared.security.acting import By


class ProgrammeKind(StrEnum):
    """What sort of help it is (送温暖, 夏送清凉, 金秋助学, 医疗救助, 生活救助, 临时救助, 职工慰问, other)."""

    WARMTH = "warmth"
    COOLNESS = "coolness"
    SCHOOLING = "schooling"
    MEDICAL = "medical"
    LIVING = "living"
    EMERGENCY = "emergency"
    MEMBER_CARE = "member_care"
    OTHER = "other"


class AmountRule(StrEnum):
    """Whether each case gets the same, or what it asks for up to the caps."""

    FIXED = "fixed"
    REQUESTED = "requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an officer lays down; amounts in fen. `eligibility` is the rule as it was written (see `eligibility.parse`)."""

    name: str
    kind: ProgrammeKind
    starts_on: date
    ends_on: date
    amount_rule: AmountRule
    fixed_fen: int | None
    cap_per_time_fen: int | None
    cap_per_year_fen: int | None
    eligibility: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.ends_on < self.starts_on:
            raise Invalid("programme-ends-before-start", field="ends_on")
        if (self.amount_rule is AmountRule.FIXED) != (self.fixed_fen is not None):
            raise Invalid("programme-fixed-amount", field="fixed_fen")
        if self.amount_rule is AmountRule.REQUESTED and self.cap_per_time_fen is None:
            raise Invalid("programme-cap-missing", field="cap_per_time_fen")
        ceiling = self.cap_per_time_fen
        if self.fixed_fen is not None and ceiling is not None and self.fixed_fen > ceiling:
            raise Invalid("programme-caps-contradict", field="fixed_fen")
        if self.cap_per_year_fen is not None and self.cap_per_year_fen < (self.fixed_fen or ceiling or 0):
            raise Invalid("programme-caps-contradict", field="cap_per_year_fen")


@dataclass(eq=False, kw_only=True)
class Programme:
    """One programme. It helps members of its organisation and of all below it, between its two days."""

    id: UUID
    organisation_id: UUID
    path: str
    budget_id: UUID
    name: str
    kind: ProgrammeKind
    starts_on: date
    ends_on: date
    amount_rule: AmountRule
    fixed_fen: int | None
    cap_per_time_fen: int | None
    cap_per_year_fen: int | None
    eligibility: dict[str, Any]
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @classmethod
    def open(
        cls, programme_id: UUID, organisation_id: UUID, path: str, budget_id: UUID, terms: Terms, at: datetime
    ) -> "Programme":
        """A new programme, version 1."""
        return cls(
            id=programme_id,
            organisation_id=organisation_id,
            path=path,
            budget_id=budget_id,
            created_at=at,
            updated_at=at,
            **_columns(terms),
        )

    def change(self, terms: Terms, budget_id: UUID, at: datetime) -> None:
        """New terms for cases that are decided from now on."""
        for name, value in _columns(terms).items():
            setattr(self, name, value)
        self.budget_id = budget_id
        self._step(at)

    def hand_over(self, organisation_id: UUID, path: str, at: datetime) -> None:
        """Its unit was dissolved: another takes it on."""
        self.organisation_id, self.path = organisation_id, path
        self._step(at)

    def must_take_cases(self, path: str, today: date) -> None:
        """Raises Conflict outside of its days, Invalid for a member of a unit that it is not for."""
        if not path.startswith(self.path):
            raise Invalid("programme-not-for-unit", field="programme_id")
        if not self.starts_on <= today <= self.ends_on:
            raise Conflict("programme-not-running")

    def amount_of(self, requested: int | None) -> Fen:
        """What a case asks for under this programme: the fixed amount, or `requested` up to the cap of a time."""
        if self.fixed_fen is not None:
            if requested not in {None, self.fixed_fen}:
                raise Invalid("amount-fixed", field="requested_fen", amount=yuan(Fen(self.fixed_fen)))
            return Fen(self.fixed_fen)
        if requested is None:
            raise Invalid("field-missing", field="requested_fen")
        if self.cap_per_time_fen is not None and requested > self.cap_per_time_fen:
            raise Invalid("amount-over-cap", field="requested_fen", cap=yuan(Fen(self.cap_per_time_fen)))
        return Fen(requested)

    def snapshot(self) -> dict[str, Any]:
        """Its terms as JSON, kept for every version: an old decision can be judged again."""
        return {
            "budget_id": str(self.budget_id),
            "name": self.name,
            "kind": self.kind.value,
            "starts_on": self.starts_on.isoformat(),
            "ends_on": self.ends_on.isoformat(),
            "amount_rule": self.amount_rule.value,
            "fixed_fen": self.fixed_fen,
            "cap_per_time_fen": self.cap_per_time_fen,
            "cap_per_year_fen": self.cap_per_year_fen,
            "eligibility": self.eligibility,
        }

    def _step(self, at: datetime) -> None:
        self.version += 1
        self.updated_at = at


@dataclass(eq=False, kw_only=True)
class ProgrammeVersion:
    """What one version of a programme said, and who made it."""

    programme_id: UUID
    version: int
    happened_at: datetime
    organisation_id: UUID
    actor_issuer: str
    actor_subject: str
    terms: dict[str, Any]

    @classmethod
    def of(cls, programme: Programme, by: By) -> "ProgrammeVersion":
        """The version that it has now."""
        return cls(
            programme_id=programme.id,
            version=programme.version,
            happened_at=by.at,
            organisation_id=programme.organisation_id,
            actor_issuer=by.issuer,
            actor_subject=by.subject,
            terms=programme.snapshot(),
        )


def _columns(terms: Terms) -> dict[str, Any]:
    return {name: getattr(terms, name) for name in Terms.__dataclass_fields__} | {
        "eligibility": dict(terms.eligibility)
    }
