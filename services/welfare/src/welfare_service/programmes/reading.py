"""Reads an eligibility rule from JSON and refuses what cannot be meant: malformed, contradictory, selecting everybody unsaid."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, Final, Literal
from uuid import UUID

from shared.contracts.membership import EmploymentForm, Gender
from shared.contracts.welfare import HardshipClass
from shared.kernel.errors import Invalid
from welfare_service.programmes.eligibility import (
    MAX_AGE,
    Age,
    AllOf,
    AnyOf,
    Criterion,
    Everybody,
    Leaf,
    MemberMonths,
    Not,
    NotHelped,
    OneOf,
    Rule,
    Within,
    criterion_of,
    failed,
    leaves,
)

MAX_CRITERIA: Final = 16
MAX_DEPTH: Final = 6
MAX_MONTHS: Final = 1200
#: Combinations of values that are tried to see what a rule selects; more and it is too complex to be understood.
_MAX_COMBINATIONS: Final = 100_000
_FIELD: Final = "eligibility"
_CHOICES: Final[Mapping[Criterion, frozenset[str]]] = {
    Criterion.HARDSHIP_CLASS: frozenset(HardshipClass),
    Criterion.GENDER: frozenset(Gender),
    Criterion.EMPLOYMENT_FORM: frozenset(EmploymentForm),
}


def parse(written: Any) -> Rule:
    """Read a rule. Raises Invalid, naming the place, for what is malformed, selects nobody, or everybody unsaid."""
    if written == {"everybody": True}:
        return Everybody()
    rule = _parse(written, _FIELD, 1)
    if sum(1 for _ in leaves(rule)) > MAX_CRITERIA:
        raise Invalid("eligibility-too-complex", field=_FIELD)
    _refuse_senseless(rule)
    return rule


def _parse(written: Any, place: str, depth: int) -> Rule:
    if not isinstance(written, dict) or len(written) != 1:
        raise Invalid("eligibility-one-criterion", field=place)
    if depth > MAX_DEPTH:
        raise Invalid("eligibility-too-complex", field=place)
    [(name, value)] = written.items()
    inner = f"{place}/{name}"
    match name:
        case "all" | "any":
            if not isinstance(value, list) or not value:
                raise Invalid("eligibility-empty", field=inner)
            parts = tuple(
                _parse(part, f"{inner}/{position}", depth + 1) for position, part in enumerate(value)
            )
            return AllOf(parts) if name == "all" else AnyOf(parts)
        case "not":
            return Not(_parse(value, inner, depth + 1))
        case "everybody":
            raise Invalid("eligibility-everybody-alone", field=inner)
        case _ if name in _LEAVES:
            return _LEAVES[name](value, inner)
        case _:
            raise Invalid("eligibility-unknown", field=place)


def _one_of(
    criterion: Literal[Criterion.HARDSHIP_CLASS, Criterion.GENDER, Criterion.EMPLOYMENT_FORM],
) -> Callable[[Any, str], Leaf]:
    def read(value: Any, place: str) -> Leaf:
        known = _CHOICES[criterion]
        if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
            raise Invalid("eligibility-empty", field=place)
        if not known.issuperset(value):
            raise Invalid("field-not-listed", field=place, limit=", ".join(sorted(known)))
        return OneOf(criterion, frozenset(value))

    return read


def _age(value: Any, place: str) -> Leaf:
    limits = _object(value, place, {"min", "max"})
    if not limits:
        raise Invalid("eligibility-empty", field=place)
    least, most = (
        _whole(limits[end], f"{place}/{end}", 0, MAX_AGE) if end in limits else None for end in ("min", "max")
    )
    if least is not None and most is not None and least > most:
        raise Invalid("eligibility-contradictory", field=place)
    return Age(least, most)


def _within(value: Any, place: str) -> Leaf:
    try:
        return Within(UUID(value))
    except (AttributeError, TypeError, ValueError):
        raise Invalid("field-not-id", field=place) from None


def _member_months(value: Any, place: str) -> Leaf:
    return MemberMonths(_whole(value, place, 1, MAX_MONTHS))


def _not_helped(value: Any, place: str) -> Leaf:
    given = _object(value, place, {"months", "by"})
    months = _whole(given.get("months"), f"{place}/months", 1, MAX_MONTHS)
    match given.get("by", "any"):
        case "this":
            return NotHelped(months, "this")
        case "any":
            return NotHelped(months, "any")
        case _:
            raise Invalid("field-not-listed", field=f"{place}/by", limit="this, any")


_LEAVES: Final[Mapping[str, Callable[[Any, str], Leaf]]] = {
    "hardship_class": _one_of(Criterion.HARDSHIP_CLASS),
    "gender": _one_of(Criterion.GENDER),
    "employment_form": _one_of(Criterion.EMPLOYMENT_FORM),
    "age": _age,
    "within": _within,
    "member_months": _member_months,
    "not_helped": _not_helped,
}


def _object(value: Any, place: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid("field-not-object", field=place)
    if value.keys() - known:
        raise Invalid("eligibility-unknown", field=place)
    return value


def _whole(value: Any, place: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid("eligibility-number", field=place, least=least, most=most)
    return value


def _refuse_senseless(rule: Rule) -> None:
    """Try the rule on every kind of member that it tells apart: it must select some and leave some."""
    asked = tuple(dict.fromkeys(leaves(rule)))
    subjects: dict[str, list[dict[Leaf, bool]]] = {}
    for subject, group in _by_subject(asked).items():
        subjects[subject] = _kinds(group)
    if prod(len(kinds) for kinds in subjects.values()) > _MAX_COMBINATIONS:
        raise Invalid("eligibility-too-complex", field=_FIELD)
    selects = leaves_out = False
    for combination in product(*subjects.values()):
        answers = {leaf: answer for kind in combination for leaf, answer in kind.items()}
        if failed(rule, answers.__getitem__, negated=False):
            leaves_out = True
        else:
            selects = True
        if selects and leaves_out:
            return
    raise Invalid("eligibility-selects-everybody" if selects else "eligibility-contradictory", field=_FIELD)


def _by_subject(asked: Sequence[Leaf]) -> dict[str, list[Leaf]]:
    """Criteria that speak of the same thing, and so cannot be answered apart."""
    groups: dict[str, list[Leaf]] = {}
    for leaf in asked:
        subject: str = criterion_of(leaf)
        match leaf:
            case Within(organisation_id):
                subject += str(organisation_id)
            case NotHelped(_, by):
                subject += by
        groups.setdefault(subject, []).append(leaf)
    return groups


def _kinds(group: Sequence[Leaf]) -> list[dict[Leaf, bool]]:
    """The different combinations of answers that a member can give to criteria of one subject."""
    found: dict[tuple[bool, ...], dict[Leaf, bool]] = {}
    for value in _values(group):
        answers = {leaf: _answer(leaf, value) for leaf in group}
        found.setdefault(tuple(answers.values()), answers)
    return list(found.values())


def _values(group: Sequence[Leaf]) -> Sequence[Any]:
    match group[0]:
        case OneOf(criterion):
            return sorted(_CHOICES[criterion])
        case Age():
            return [None, *range(MAX_AGE + 1)]
        case Within():
            return [True, False]
        case MemberMonths() | NotHelped():
            months = sorted({leaf.months for leaf in group if isinstance(leaf, MemberMonths | NotHelped)})
            return [-1, *months]


def _answer(leaf: Leaf, value: Any) -> bool:
    match leaf:
        case OneOf(_, values):
            return value in values
        case Age(least, most):
            return value is not None and (least or 0) <= value <= (MAX_AGE if most is None else most)
        case Within():
            return bool(value)
        case MemberMonths(months) | NotHelped(months, _):
            return bool(value >= months)
