"""Rules: what a value must look like, which place's rule holds, what is remembered."""

from datetime import date
from typing import Any

import pytest

from shared.kernel.errors import Conflict, Invalid
from shared.kernel.ids import new_id
from shared.kernel.money import MAX_FEN, Fen
from welfare_service.rules.domain import Rule, RuleKey, RuleSet, Scheme, check
from welfare_service.rules.use_cases import defaults

DAY = date(2026, 1, 1)


def rule(key: RuleKey, value: Any, path: str = "1/") -> Rule:
    return Rule(
        id=new_id(),
        organisation_id=new_id(),
        path=path,
        key=key,
        value=value,
        valid_from=DAY,
        source="test",
    )


@pytest.mark.parametrize("value", [0, -1, 0.5, 1e30, float("nan"), "90000", True, None, MAX_FEN + 1, [], {}])
def test_an_amount_is_whole_positive_fen(value: Any) -> None:
    with pytest.raises(Invalid) as refused:
        check(RuleKey.DIBAO_LINE, value, DAY, None)
    assert [problem.path for problem in refused.value.problems] == ["value"]
    check(RuleKey.DIBAO_LINE, 90_000, DAY, None)


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        (RuleKey.CLASSIFICATION_SCHEME, "older", "newest"),
        (RuleKey.RELATIVE_RATIO, 2000, 1000),
        (RuleKey.ACCIDENT_RATIO, 500, 1001),
        (RuleKey.AID_COUNTS_AS_INCOME, False, 0),
        (RuleKey.REVIEW_MONTHS, 12, 0),
        (RuleKey.DUE_WORKING_DAYS, {"submitted": 5}, {"submitted": 0}),
        (RuleKey.DUE_WORKING_DAYS, {}, {"draft": 5}),
        (RuleKey.APPROVAL_LEVELS, [], "two"),
        (
            RuleKey.APPROVAL_LEVELS,
            [{"above_fen": 1, "levels_up": 1}, {"above_fen": 2, "levels_up": 2}],
            [{"above_fen": 2, "levels_up": 1}, {"above_fen": 1, "levels_up": 2}],
        ),
        (
            RuleKey.APPROVAL_LEVELS,
            [{"above_fen": 1, "levels_up": 1}],
            [{"above_fen": 1, "levels_up": 2}, {"above_fen": 2, "levels_up": 1}],
        ),
        (RuleKey.APPROVAL_LEVELS, [], [{"above_fen": 1.5, "levels_up": 1}]),
    ],
)
def test_each_rule_has_its_form_and_no_contradiction(key: RuleKey, good: Any, bad: Any) -> None:
    check(key, good, DAY, None)
    with pytest.raises(Invalid):
        check(key, bad, DAY, None)


def test_a_rule_does_not_end_before_it_begins() -> None:
    check(RuleKey.DIBAO_LINE, 1, DAY, DAY)
    with pytest.raises(Invalid) as refused:
        check(RuleKey.DIBAO_LINE, 0, DAY, date(2025, 12, 31))
    assert {problem.path for problem in refused.value.problems} == {"value", "valid_to"}


def test_the_nearest_place_holds_and_only_what_was_looked_up_is_remembered() -> None:
    near, far = rule(RuleKey.DIBAO_LINE, 2, "1/2/"), rule(RuleKey.DIBAO_LINE, 1)
    other = rule(RuleKey.MINIMUM_WAGE, 3)
    rules = RuleSet([near, far, other])
    assert not rules.used
    assert rules.fen(RuleKey.DIBAO_LINE) == 2
    assert [(used.key, used.id, used.version) for used in rules.used] == [(RuleKey.DIBAO_LINE, near.id, 1)]


def test_nothing_is_decided_without_a_rule() -> None:
    with pytest.raises(Conflict) as refused:
        RuleSet([]).fen(RuleKey.DIBAO_LINE)
    assert (refused.value.code, refused.value.params) == ("rule-missing", {"key": "dibao_line"})


def test_larger_amounts_need_higher_units() -> None:
    rules = RuleSet([rule(RuleKey.APPROVAL_LEVELS, defaults().values[RuleKey.APPROVAL_LEVELS])])
    found = [rules.levels_up(Fen(amount)) for amount in (2_000_000, 2_000_001, 5_000_000, 5_000_001)]
    assert found == [0, 1, 1, 2]


def test_the_defaults_are_complete() -> None:
    assert set(defaults().values) == set(RuleKey)
    assert Scheme(defaults().values[RuleKey.CLASSIFICATION_SCHEME]) is Scheme.CURRENT


def test_a_rule_ends_once_and_never_later() -> None:
    ending = rule(RuleKey.DIBAO_LINE, 1)
    ending.end(date(2026, 6, 30))
    assert (ending.valid_to, ending.version) == (date(2026, 6, 30), 2)
    with pytest.raises(Conflict):
        ending.end(date(2026, 7, 1))
    ending.end(date(2026, 5, 31))
    with pytest.raises(Invalid):
        ending.end(date(2025, 12, 31))
