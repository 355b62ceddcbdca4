"""An employer in the register (台账). Pure: no IO."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Self
from uuid import UUID

from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from shared.kernel.errors import FieldProblem, Invalid


class Ownership(StrEnum):
    """Form of ownership, as the yearly union statistics ask for it."""

    STATE = "state"
    COLLECTIVE = "collective"
    PRIVATE = "private"
    FOREIGN = "foreign"
    PUBLIC_INSTITUTION = "public_institution"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Particulars:
    """What a report on an employer says. Women, migrant and dispatched workers are each part of the headcount."""

    name: str
    industry: str
    ownership: Ownership
    headcount: int
    women: int
    migrant_workers: int
    dispatched_workers: int
    unionised: bool
    verified_on: date


@dataclass(frozen=True, slots=True)
class Place:
    """Where an employer belongs: the unit in whose area it lies, the unit that serves it if any, the path of the nearer one."""

    area_id: UUID
    organisation_id: UUID | None
    path: str


@dataclass(eq=False, kw_only=True)
class Enterprise:
    """An employer. `path` is that of the unit that serves it, or of the unit of its area while nobody does."""

    id: UUID
    credit_code: str
    name: str
    industry: str
    ownership: Ownership
    headcount: int
    women: int
    migrant_workers: int
    dispatched_workers: int
    unionised: bool
    verified_on: date
    area_id: UUID
    organisation_id: UUID | None
    path: str
    version: int = 1

    @classmethod
    def register(
        cls, *, enterprise_id: UUID, credit_code: str, particulars: Particulars, place: Place, today: date
    ) -> Self:
        """A new entry. Raises Invalid naming every wrong figure."""
        _check(particulars, place, today)
        return cls(
            id=enterprise_id,
            credit_code=checked_credit_code(credit_code),
            name=particulars.name,
            industry=particulars.industry,
            ownership=particulars.ownership,
            headcount=particulars.headcount,
            women=particulars.women,
            migrant_workers=particulars.migrant_workers,
            dispatched_workers=particulars.dispatched_workers,
            unionised=particulars.unionised,
            verified_on=particulars.verified_on,
            area_id=place.area_id,
            organisation_id=place.organisation_id,
            path=place.path,
        )

    def update(self, particulars: Particulars, place: Place, today: date) -> None:
        """A later report. The day of verification never goes back."""
        _check(particulars, place, today)
        if particulars.verified_on < self.verified_on:
            raise Invalid(
                "enterprise-verified-earlier", field="verified_on", since=self.verified_on.isoformat()
            )
        self.name, self.industry, self.ownership = (
            particulars.name,
            particulars.industry,
            particulars.ownership,
        )
        self.headcount, self.women = particulars.headcount, particulars.women
        self.migrant_workers, self.dispatched_workers = (
            particulars.migrant_workers,
            particulars.dispatched_workers,
        )
        self.unionised, self.verified_on = particulars.unionised, particulars.verified_on
        self.area_id, self.organisation_id, self.path = place.area_id, place.organisation_id, place.path
        self.version += 1


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate is never shown without what it was made of."""

    numerator: int
    denominator: int

    @property
    def value(self) -> float | None:
        """The ratio to four decimals; None while there is nothing to compare with."""
        return round(self.numerator / self.denominator, 4) if self.denominator else None


def checked_credit_code(text: str) -> str:
    """The unified social credit code (GB 32100-2015: 18 characters, the last a check character), in its compact form."""
    try:
        code: str = uscc.validate(text)
    except ValidationError:
        raise Invalid("credit-code-invalid", field="credit_code") from None
    return code


def _check(particulars: Particulars, place: Place, today: date) -> None:
    problems = [
        FieldProblem(name, "enterprise-part-above-headcount")
        for name in ("women", "migrant_workers", "dispatched_workers")
        if getattr(particulars, name) > particulars.headcount
    ]
    if particulars.verified_on > today:
        problems.append(FieldProblem("verified_on", "enterprise-verified-in-future"))
    if particulars.unionised and place.organisation_id is None:
        problems.append(FieldProblem("organisation_id", "enterprise-unionised-by-nobody"))
    if problems:
        raise Invalid("enterprise-figures-wrong", problems=tuple(problems))
