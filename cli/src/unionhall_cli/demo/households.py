"""Made-up households in hardship: a member of the roster, the family, what they earn and what they must spend."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, Final

from unionhall_cli.demo.people import Human, people, resident_id
from unionhall_cli.demo.places import SYLLABLES, Scale, Unit

_CAUSES: Final = (
    "illness",
    "schooling",
    "disability",
    "unemployment",
    "single_parent",
    "accident",
    "disaster",
)
#: Class -> share, and net income per person and month in yuan that gives it (subsistence line: 900 yuan).
_CLASSES: Final = (
    ("deep", 40, (300, 850)),
    ("relative", 40, (950, 1750)),
    ("accidental", 12, (2000, 2600)),
    ("none", 8, (2500, 4000)),
)
_SHARE_OF_ACCIDENT: Final = 0.6
_FEN: Final = 100
_MONTHS: Final = 12


@dataclass(frozen=True, slots=True)
class Household:
    """`head` is on the roster; `expected` is the class that the rules give. Amounts are fen of twelve months."""

    number: int
    head: Human
    cause: str
    expected: str
    family: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def head_body(self) -> dict[str, Any]:
        """The head as the API takes people."""
        body = {
            "name": self.head.name,
            "document_number": self.head.number,
            "relation": "head",
            "occupation": "employed",
            "health": "serious" if self.cause == "illness" else "good",
            "insurance": "employee",
        }
        return body | ({"illness": "慢性肾病（虚构）"} if self.cause == "illness" else {})


def households(
    scale: Scale, unions: list[Unit], seed: int, written_on: date, today: date, areas: tuple[str, ...]
) -> Iterator[Household]:
    """Households of members in these areas (codes of units above theirs), always the same ones in the same order."""
    rng = Random(f"{seed}-{scale.name}-households")  # noqa: S311 - made-up data
    number = 0
    for human in people(scale, unions, seed, written_on):
        if human.document_type != "居民身份证" or not human.unit.code.startswith(areas):
            continue
        # Not everybody in hardship stands next to each other on the roster.
        if rng.random() < scale.in_hardship:
            yield _household(rng, scale, number, human, today)
            number += 1


def _household(rng: Random, scale: Scale, number: int, head: Human, today: date) -> Household:
    expected, _, (least, most) = rng.choices(_CLASSES, [share for _, share, _ in _CLASSES])[0]
    family = [
        _relative(rng, scale, number, place, head, today) for place in range(rng.choice((0, 0, 0, 1, 2)))
    ]
    needed = rng.randint(least, most) * _FEN * _MONTHS * (1 + len(family))
    if expected == "accidental":
        income = int(needed / (1 - _SHARE_OF_ACCIDENT))
        spending = income - needed
    else:
        spending = 0 if expected == "none" else rng.randint(20, 120) * 100 * _FEN
        income = needed + spending
    lines = [{"kind": "income-wage", "amount_fen": income, "on": today.isoformat()}]
    if spending:
        kind = "spending-schooling" if expected != "accidental" and number % 3 == 0 else "spending-illness"
        lines.append({"kind": kind, "amount_fen": spending, "on": today.isoformat()})
    return Household(number, head, _CAUSES[number % len(_CAUSES)], expected, family, lines)


def _relative(rng: Random, scale: Scale, number: int, place: int, head: Human, today: date) -> dict[str, Any]:
    """Of nobody's region and on no roster: two relatives never share a number."""
    relation, years = (("spouse", rng.randint(-4, 4)), ("child", rng.randint(20, 30)))[place]
    born = date(min(head.born.year + years, today.year - 1), 1, 1) + timedelta(days=number % 300)
    names = SYLLABLES["male"] + SYLLABLES["female"]
    occupation = "flexible" if relation == "spouse" else "student"
    return {
        "name": head.name[:1] + rng.choice(names) + rng.choice(names),
        "document_number": resident_id(f"{scale.region[:-1]}7", born, (number * 2 + place) % 1000),
        "relation": relation,
        "occupation": occupation,
        "insurance": "resident",
    }
