"""The class of a household, computed line by line from what was gathered and from dated rules. Pure; whole fen only.

Per person and month: (income - rigid spending) / 12 / persons, compared without dividing, so nothing is rounded in anybody's
favour. Sources: domain.md §3 (current: 深度困难, 相对困难, 意外致困; older: 低保户, 低保边缘户, 意外致困户).
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import orjson

from shared.contracts.welfare import HardshipClass
from welfare_service.dossiers.kinds import Cause, Exclusion, LineKind, Occupation
from welfare_service.rules.domain import RuleKey, RuleSet, Scheme

_MONTHS: Final = 12
_PERMILLE: Final = 1000
_ADULT: Final = 18
#: Misfortunes that make an accidental hardship under the older rules.
_ACCIDENTAL: Final = frozenset({Cause.ILLNESS, Cause.DISABILITY, Cause.DISASTER, Cause.ACCIDENT})


class Amount(NamedTuple):
    """One line of a person, opened."""

    kind: LineKind
    fen: int
    on: date


class Aid(NamedTuple):
    """Union aid that was paid; `counts` says whether the rules of its day make it income."""

    fen: int
    on: date
    counts: bool


@dataclass(frozen=True, slots=True)
class PersonInput:
    """What of a person the rules look at."""

    id: UUID
    occupation: Occupation
    is_able: bool
    birth_year: int | None
    amounts: tuple[Amount, ...]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What of a household the rules look at."""

    persons: tuple[PersonInput, ...]
    aid: tuple[Aid, ...]
    causes: tuple[Cause, ...]
    exclusions: tuple[Exclusion, ...]

    def packed(self) -> str:
        """As text, the same for the same inputs, whatever the order in which they were entered."""
        persons = [
            {
                "id": str(person.id),
                "occupation": person.occupation.value,
                "is_able": person.is_able,
                "birth_year": person.birth_year,
                "amounts": sorted([one.kind.value, one.fen, one.on.isoformat()] for one in person.amounts),
            }
            for person in sorted(self.persons, key=lambda person: person.id)
        ]
        whole = {
            "persons": persons,
            "aid": sorted([one.fen, one.on.isoformat(), one.counts] for one in self.aid),
            "causes": [cause.value for cause in self.causes],
            "exclusions": sorted(exclusion.value for exclusion in self.exclusions),
        }
        return orjson.dumps(whole, option=orjson.OPT_SORT_KEYS).decode()

    @classmethod
    def unpacked(cls, packed: str) -> Self:
        """What `packed` made."""
        whole: dict[str, Any] = orjson.loads(packed)
        return cls(
            persons=tuple(
                PersonInput(
                    UUID(person["id"]),
                    Occupation(person["occupation"]),
                    person["is_able"],
                    person["birth_year"],
                    tuple(
                        Amount(LineKind(kind), fen, date.fromisoformat(on))
                        for kind, fen, on in person["amounts"]
                    ),
                )
                for person in whole["persons"]
            ),
            aid=tuple(Aid(fen, date.fromisoformat(on), counts) for fen, on, counts in whole["aid"]),
            causes=tuple(map(Cause, whole["causes"])),
            exclusions=tuple(map(Exclusion, whole["exclusions"])),
        )

    def digest(self, key: bytes) -> str:
        """A keyed hash (hex): tells whether inputs are the same, and nothing of what they are."""
        return hmac.digest(key, self.packed().encode(), hashlib.sha256).hex()


class Line(NamedTuple):
    """One line of the explanation: a code with words in both languages, the amount, and whom it is about."""

    code: str
    fen: int | None = None
    person_id: UUID | None = None
    permille: int | None = None


@dataclass(slots=True)
class Assessment:
    """What the rules make of a household on a day, and why, line by line. `net` is per person and month, rounded down."""

    on: date
    hardship_class: HardshipClass = HardshipClass.NONE
    net: int = 0
    income: int = 0
    spending: int = 0
    lines: list[Line] = field(default_factory=list)


def classify(inputs: Inputs, rules: RuleSet, on: date) -> Assessment:
    """The class on a day. Amounts count that lie in the twelve months up to it. Raises Conflict("rule-missing")."""
    found = Assessment(on)
    for person in inputs.persons:
        _count_person(found, person, rules, on)
    _count_aid(found, inputs.aid, on)
    # Whoever is left when everybody was erased still is one.
    people = max(1, len(inputs.persons))
    net = found.income - found.spending
    found.net = net // (_MONTHS * people)
    found.lines += [
        Line("total-income", found.income),
        Line("total-spending", found.spending),
        Line("net", found.net),
    ]
    if inputs.exclusions:
        found.lines += [
            Line(f"excluded-{exclusion.value.replace('_', '-')}") for exclusion in inputs.exclusions
        ]
    elif rules.scheme() is Scheme.CURRENT:
        found.hardship_class = _current(found, net, people, rules)
    else:
        found.hardship_class = _older(found, net, people, rules, inputs.causes)
    found.lines.append(Line(f"class-{found.hardship_class.value.replace('_', '-')}"))
    return found


def _count_person(found: Assessment, person: PersonInput, rules: RuleSet, on: date) -> None:
    wage = 0
    for kind in LineKind:
        total = sum(one.fen for one in person.amounts if one.kind is kind and _counts(one.on, on))
        if not total:
            continue
        found.lines.append(Line(kind.value, total, person.id))
        if kind.is_income:
            found.income += total
        else:
            found.spending += total
        wage += total if kind is LineKind.WAGE else 0
    if person.is_able and person.occupation is Occupation.UNEMPLOYED and _is_adult(person, on):
        # An able adult without a job is taken to earn the minimum wage; what was earned is part of it.
        imputed = max(0, rules.fen(RuleKey.MINIMUM_WAGE) * _MONTHS - wage)
        if imputed:
            found.income += imputed
            found.lines.append(Line("imputed-wage", imputed, person.id))


def _count_aid(found: Assessment, aid: Sequence[Aid], on: date) -> None:
    for counts, code in ((True, "aid"), (False, "aid-not-counted")):
        total = sum(one.fen for one in aid if one.counts is counts and _counts(one.on, on))
        if total:
            found.lines.append(Line(code, total))
            found.income += total if counts else 0


def _current(found: Assessment, net: int, people: int, rules: RuleSet) -> HardshipClass:
    line = rules.fen(RuleKey.DIBAO_LINE)
    ratio = rules.number(RuleKey.RELATIVE_RATIO)
    share = rules.number(RuleKey.ACCIDENT_RATIO)
    found.lines += [
        Line("limit-dibao", line),
        Line("limit-relative", line * ratio // _PERMILLE, permille=ratio),
        Line("limit-accidental", found.income * share // _PERMILLE, permille=share),
    ]
    whole = line * _MONTHS * people
    if net < whole:
        return HardshipClass.DEEP
    if net * _PERMILLE < whole * ratio:
        return HardshipClass.RELATIVE
    if found.spending * _PERMILLE > found.income * share:
        return HardshipClass.ACCIDENTAL
    return HardshipClass.NONE


def _older(
    found: Assessment, net: int, people: int, rules: RuleSet, causes: Sequence[Cause]
) -> HardshipClass:
    line = rules.fen(RuleKey.DIBAO_LINE)
    margin = rules.number(RuleKey.DIBAO_MARGIN_RATIO)
    accident = rules.number(RuleKey.ACCIDENT_INCOME_RATIO)
    found.lines += [
        Line("limit-dibao", line),
        Line("limit-dibao-margin", line * margin // _PERMILLE, permille=margin),
        Line("limit-accidental-income", line * accident // _PERMILLE, permille=accident),
    ]
    whole = line * _MONTHS * people
    if net < whole:
        return HardshipClass.DIBAO
    if net * _PERMILLE <= whole * margin:
        return HardshipClass.DIBAO_MARGIN
    if net * _PERMILLE <= whole * accident and _ACCIDENTAL & set(causes):
        return HardshipClass.ACCIDENTAL
    return HardshipClass.NONE


def _counts(day: date, on: date) -> bool:
    return a_year_before(on) < day <= on


def a_year_before(day: date) -> date:
    """The same day twelve months ago; 28 February for a leap day."""
    return day.replace(year=day.year - 1, day=28 if (day.month, day.day) == (2, 29) else day.day)


def _is_adult(person: PersonInput, on: date) -> bool:
    return person.birth_year is None or on.year - person.birth_year >= _ADULT
