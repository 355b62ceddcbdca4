"""A rule: one figure, valid in a place and all below it from a day to a day, with its source. Pure: no IO.

A row's value never changes, it only ends: a decision that names the ids of its rules can be recomputed for ever.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final, NamedTuple
from uuid import UUID

from shared.contracts.welfare import CaseStage
from shared.kernel.errors import Conflict, FieldProblem, Invalid
from shared.kernel.money import MAX_FEN, Fen

#: What stands in a rule's value: whole numbers, words, truths, and lists or tables of them; never a float.
Value = Any


class RuleKey(StrEnum):
    """Every figure that a decision may look up."""

    DIBAO_LINE = "dibao_line"
    MINIMUM_WAGE = "minimum_wage"
    CLASSIFICATION_SCHEME = "classification_scheme"
    RELATIVE_RATIO = "relative_ratio"
    ACCIDENT_RATIO = "accident_ratio"
    DIBAO_MARGIN_RATIO = "dibao_margin_ratio"
    ACCIDENT_INCOME_RATIO = "accident_income_ratio"
    AID_COUNTS_AS_INCOME = "aid_counts_as_income"
    SMALL_GIFT_LIMIT = "small_gift_limit"
    CAP_PER_TIME = "cap_per_time"
    CAP_PER_PERSON_YEAR = "cap_per_person_year"
    APPROVAL_LEVELS = "approval_levels"
    DUE_WORKING_DAYS = "due_working_days"
    REVIEW_MONTHS = "review_months"


class Scheme(StrEnum):
    """Which classes there are: the current ones, or those of places that still use the older rules."""

    CURRENT = "current"
    OLDER = "older"


#: Stages of work that have a time limit: those of a case that wait for somebody, and the two of a dossier.
TIMED_STAGES: Final = frozenset(
    {stage.value for stage in (CaseStage.SUBMITTED, CaseStage.RETURNED, CaseStage.APPROVED, CaseStage.PAID)}
    | {CaseStage.DISBURSING.value, "dossier_decision", "dossier_review"}
)
_MOST_LEVELS: Final = 6
_MOST_DAYS: Final = 250


class UsedRule(NamedTuple):
    """What a decision keeps of a rule it looked up."""

    key: RuleKey
    id: UUID
    version: int


@dataclass(eq=False, kw_only=True)
class Rule:
    """One row. `valid_to` is the last day, None without end; the jurisdiction is the unit at `path` with all below it."""

    id: UUID
    organisation_id: UUID
    path: str
    key: RuleKey
    value: Value
    valid_from: date
    valid_to: date | None = None
    source: str
    version: int = 1

    def end(self, on: date) -> None:
        """Valid up to and including `on`. Raises Conflict once it ended, Invalid for a day before it began."""
        if self.valid_to is not None and self.valid_to <= on:
            raise Conflict("rule-already-ended")
        if on < self.valid_from:
            raise Invalid("rule-ends-before-start", field="on")
        self.valid_to = on
        self.version += 1


class RuleSet:
    """The rules of a place on a day. It remembers which of them were looked up: those a decision rests on."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Of several rules with one key the one of the nearest place (the longest path) holds."""
        nearest: dict[RuleKey, Rule] = {}
        for rule in rules:
            known = nearest.get(rule.key)
            if known is None or len(known.path) < len(rule.path):
                nearest[rule.key] = rule
        self._rules: Mapping[RuleKey, Rule] = nearest
        self._used: dict[RuleKey, UsedRule] = {}

    def rules(self) -> list[Rule]:
        """All of them, by key."""
        return sorted(self._rules.values(), key=lambda rule: rule.key)

    @property
    def used(self) -> tuple[UsedRule, ...]:
        """The rules that were looked up so far, by key."""
        return tuple(self._used[key] for key in sorted(self._used))

    def value(self, key: RuleKey) -> Value:
        """The value of a rule. Raises Conflict("rule-missing"): nothing is decided without one."""
        rule = self._rules.get(key)
        if rule is None:
            raise Conflict("rule-missing", key=key.value)
        self._used[key] = UsedRule(key, rule.id, rule.version)
        return rule.value

    def fen(self, key: RuleKey) -> Fen:
        """An amount in fen."""
        return Fen(self.value(key))

    def number(self, key: RuleKey) -> int:
        """A ratio in permille (500 is one half), or a number of months."""
        number: int = self.value(key)
        return number

    def flag(self, key: RuleKey) -> bool:
        """A truth."""
        flag: bool = self.value(key)
        return flag

    def scheme(self) -> Scheme:
        """The classification that holds."""
        return Scheme(self.value(RuleKey.CLASSIFICATION_SCHEME))

    def levels_up(self, amount: Fen) -> int:
        """How many units above the own one must approve an amount: 0 is the own unit."""
        levels: list[dict[str, int]] = self.value(RuleKey.APPROVAL_LEVELS)
        return max((level["levels_up"] for level in levels if amount > level["above_fen"]), default=0)

    def due_days(self, stage: str) -> int | None:
        """Working days that whoever holds the work has in this stage (TIMED_STAGES); None without a limit or any rule."""
        if RuleKey.DUE_WORKING_DAYS not in self._rules:
            return None
        days: dict[str, int] = self.value(RuleKey.DUE_WORKING_DAYS)
        return days.get(stage)


def _whole(least: int, most: int) -> Callable[[Value], bool]:
    def is_good(value: Value) -> bool:
        # A truth is an int to Python, not to an administrator.
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return is_good


def _is_levels(value: Value) -> bool:
    if not isinstance(value, list) or not len(value) <= _MOST_LEVELS:
        return False
    amounts, ups = [], []
    for level in value:
        if not isinstance(level, dict) or set(level) != {"above_fen", "levels_up"}:
            return False
        if not _whole(1, MAX_FEN)(level["above_fen"]) or not _whole(1, _MOST_LEVELS)(level["levels_up"]):
            return False
        amounts.append(level["above_fen"])
        ups.append(level["levels_up"])
    # More money never needs fewer levels: else the list contradicts itself.
    return all(lower < higher for column in (amounts, ups) for lower, higher in pairwise(column))


def _is_days(value: Value) -> bool:
    return (
        isinstance(value, dict)
        and set(value) <= TIMED_STAGES
        and all(_whole(1, _MOST_DAYS)(days) for days in value.values())
    )


_AMOUNT: Final = _whole(1, MAX_FEN)
#: What each value must look like; ratios are permille of what they are measured by.
_SCHEMAS: Final[Mapping[RuleKey, Callable[[Value], bool]]] = {
    RuleKey.DIBAO_LINE: _AMOUNT,
    RuleKey.MINIMUM_WAGE: _AMOUNT,
    RuleKey.CLASSIFICATION_SCHEME: lambda value: isinstance(value, str) and value in set(Scheme),
    RuleKey.RELATIVE_RATIO: _whole(1001, 10_000),
    RuleKey.ACCIDENT_RATIO: _whole(1, 1000),
    RuleKey.DIBAO_MARGIN_RATIO: _whole(1001, 10_000),
    RuleKey.ACCIDENT_INCOME_RATIO: _whole(1001, 10_000),
    RuleKey.AID_COUNTS_AS_INCOME: lambda value: isinstance(value, bool),
    RuleKey.SMALL_GIFT_LIMIT: _AMOUNT,
    RuleKey.CAP_PER_TIME: _AMOUNT,
    RuleKey.CAP_PER_PERSON_YEAR: _AMOUNT,
    RuleKey.APPROVAL_LEVELS: _is_levels,
    RuleKey.DUE_WORKING_DAYS: _is_days,
    RuleKey.REVIEW_MONTHS: _whole(1, 120),
}


def check(key: RuleKey, value: Value, valid_from: date, valid_to: date | None) -> None:
    """Judge a new rule as a whole; raises Invalid("rule-invalid") naming each wrong field."""
    problems = []
    if not _SCHEMAS[key](value):
        problems.append(FieldProblem("value", "rule-value-invalid", {"key": key.value}))
    if valid_to is not None and valid_to < valid_from:
        problems.append(FieldProblem("valid_to", "rule-ends-before-start"))
    if problems:
        raise Invalid("rule-invalid", problems=tuple(problems))
