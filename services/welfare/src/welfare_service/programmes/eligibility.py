"""Who may be helped, as a small declarative rule: written as JSON, read once, judged for one member with reasons.

    {"all": [{"hardship_class": ["deep", "relative"]}, {"age": {"min": 18}}, {"not": {"gender": ["male"]}}]}

Criteria: hardship_class, age, gender, employment_form, within (a unit and all below it), member_months, not_helped (for some
months by this or any programme). They are joined by all, any and not. {"everybody": true} stands alone: nobody writes it by
accident. `repository` says the same in SQL; a test compares the two.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

from shared.contracts.membership import EmploymentForm, Gender
from shared.contracts.welfare import HardshipClass

MAX_AGE: Final = 130


class Criterion(StrEnum):
    """What a leaf asks; also the code of a refusal, after "eligibility-"."""

    HARDSHIP_CLASS = "hardship-class"
    AGE = "age"
    GENDER = "gender"
    EMPLOYMENT_FORM = "employment-form"
    WITHIN = "within"
    MEMBER_MONTHS = "member-months"
    NOT_HELPED = "not-helped"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: "tuple[Rule, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: "tuple[Rule, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Rule"


@dataclass(frozen=True, slots=True)
class Everybody:
    """No condition."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The member's class, gender or form of employment is one of `values`."""

    criterion: Literal[Criterion.HARDSHIP_CLASS, Criterion.GENDER, Criterion.EMPLOYMENT_FORM]
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Age:
    """Whole years, both ends included. A member whose birth is unknown has no age."""

    least: int | None
    most: int | None


@dataclass(frozen=True, slots=True)
class Within:
    """Belongs to this unit or one below it."""

    organisation_id: UUID


@dataclass(frozen=True, slots=True)
class MemberMonths:
    """Has belonged to the present unit for at least so many whole months."""

    months: int


@dataclass(frozen=True, slots=True)
class NotHelped:
    """No case of this programme (or of any) was approved within the last `months`."""

    months: int
    by: Literal["this", "any"]


Leaf = OneOf | Age | Within | MemberMonths | NotHelped
Rule = AllOf | AnyOf | Not | Everybody | Leaf


def criterion_of(leaf: Leaf) -> Criterion:
    """What the leaf asks."""
    match leaf:
        case OneOf(criterion):
            return criterion
        case Age():
            return Criterion.AGE
        case Within():
            return Criterion.WITHIN
        case MemberMonths():
            return Criterion.MEMBER_MONTHS
        case NotHelped():
            return Criterion.NOT_HELPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a rule asks of one member on one day. `age` is exact at a decision, by year of birth in a preview.

    `last_helped` is the newest day of approval: by this programme, and by any.
    """

    age: int | None
    gender: Gender
    employment_form: EmploymentForm
    path: str
    joined_on: date | None
    hardship_class: HardshipClass
    helped_by_this: date | None
    helped_by_any: date | None


@dataclass(frozen=True, slots=True)
class Reason:
    """A criterion that stood in the way; `negated` when it held and must not."""

    criterion: Criterion
    negated: bool = False


def months_before(day: date, months: int) -> date:
    """The same day of the month `months` earlier; the last day of that month when it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    last = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - date(year, month + 1, 1)).days
    return date(year, month + 1, min(day.day, last))


def reasons(rule: Rule, facts: Facts, today: date, paths: Mapping[UUID, str]) -> list[Reason]:
    """Why the member is not eligible; empty when eligible. `paths` gives the units that the rule names."""
    return failed(rule, lambda leaf: holds(leaf, facts, today, paths), negated=False)


def holds(leaf: Leaf, facts: Facts, today: date, paths: Mapping[UUID, str]) -> bool:
    """Whether one criterion holds. What is unknown does not hold."""
    match leaf:
        case OneOf(criterion, values):
            chosen = {
                Criterion.HARDSHIP_CLASS: facts.hardship_class,
                Criterion.GENDER: facts.gender,
                Criterion.EMPLOYMENT_FORM: facts.employment_form,
            }
            return chosen[criterion] in values
        case Age(least, most):
            return facts.age is not None and (least or 0) <= facts.age <= (MAX_AGE if most is None else most)
        case Within(organisation_id):
            return facts.path.startswith(paths.get(organisation_id, "?"))
        case MemberMonths(months):
            return facts.joined_on is not None and facts.joined_on <= months_before(today, months)
        case NotHelped(months, by):
            last = facts.helped_by_this if by == "this" else facts.helped_by_any
            return last is None or last <= months_before(today, months)


def failed(rule: Rule, test: Callable[[Leaf], bool], *, negated: bool) -> list[Reason]:
    """The leaves because of which `rule` is not what it should be (true, or false when `negated`)."""
    match rule:
        case Everybody():
            return []
        case Not(part):
            return failed(part, test, negated=not negated)
        case AllOf(parts) | AnyOf(parts):
            found = [failed(part, test, negated=negated) for part in parts]
            all_needed = isinstance(rule, AllOf) is not negated
            if not all_needed and not all(found):
                return []
            return list(dict.fromkeys(reason for part in found for reason in part))
        case _:
            return [] if test(rule) is not negated else [Reason(criterion_of(rule), negated)]


def leaves(rule: Rule) -> Iterator[Leaf]:
    """All criteria of a rule."""
    match rule:
        case Everybody():
            return
        case Not(part):
            yield from leaves(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case _:
            yield rule


def units_of(rule: Rule) -> frozenset[UUID]:
    """The units that a rule names."""
    return frozenset(leaf.organisation_id for leaf in leaves(rule) if isinstance(leaf, Within))
