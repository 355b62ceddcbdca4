"""The class of a household: limits to the fen, both schemes, what counts, and recomputing."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.welfare import HardshipClass
from shared.kernel import texts
from shared.kernel.ids import new_id
from welfare_service.dossiers.classification import (
    Aid,
    Amount,
    Assessment,
    Inputs,
    PersonInput,
    a_year_before,
    classify,
)
from welfare_service.dossiers.kinds import Cause, Exclusion, LineKind, Occupation
from welfare_service.rules.domain import Rule, RuleKey, RuleSet
from welfare_service.rules.use_cases import defaults

ON = date(2026, 3, 16)
LINE = 90_000
YEAR = LINE * 12


def rules(**changed: Any) -> RuleSet:
    values = defaults().values | {RuleKey(key): value for key, value in changed.items()}
    return RuleSet(
        Rule(
            id=new_id(),
            organisation_id=new_id(),
            path="1/",
            key=key,
            value=value,
            valid_from=date(2024, 1, 1),
            source="test",
        )
        for key, value in values.items()
    )


def person(
    *amounts: tuple[LineKind, int],
    occupation: Occupation = Occupation.EMPLOYED,
    is_able: bool = True,
    birth_year: int | None = 1980,
    on: date = ON,
) -> PersonInput:
    lines = tuple(Amount(kind, fen, on) for kind, fen in amounts)
    return PersonInput(new_id(), occupation, is_able, birth_year, lines)


def household(
    *persons: PersonInput,
    aid: tuple[Aid, ...] = (),
    causes: tuple[Cause, ...] = (Cause.ILLNESS,),
    exclusions: tuple[Exclusion, ...] = (),
) -> Inputs:
    return Inputs(persons, aid, causes, exclusions)


def earning(fen: int, spending: int = 0) -> Inputs:
    amounts = [(LineKind.WAGE, fen)] if fen else []
    return household(person(*amounts, *([(LineKind.ILLNESS, spending)] if spending else [])))


def classed(inputs: Inputs, **changed: Any) -> HardshipClass:
    return classify(inputs, rules(**changed), ON).hardship_class


@pytest.mark.parametrize(
    ("income", "spending", "expected"),
    [
        (0, 0, HardshipClass.DEEP),
        (YEAR - 1, 0, HardshipClass.DEEP),
        (YEAR, 0, HardshipClass.RELATIVE),
        (2 * YEAR - 1, 0, HardshipClass.RELATIVE),
        (2 * YEAR, 0, HardshipClass.NONE),
        # Half of the income is not more than half of it.
        (4 * YEAR, 2 * YEAR, HardshipClass.NONE),
        (4 * YEAR + 2, 2 * YEAR + 2, HardshipClass.ACCIDENTAL),
        (3 * YEAR, 2 * YEAR, HardshipClass.RELATIVE),
        (3 * YEAR, 2 * YEAR + 1, HardshipClass.DEEP),
    ],
)
def test_the_current_scheme_to_the_fen(income: int, spending: int, expected: HardshipClass) -> None:
    assert classed(earning(income, spending)) is expected


@pytest.mark.parametrize(
    ("income", "causes", "expected"),
    [
        (YEAR - 1, (), HardshipClass.DIBAO),
        (YEAR, (), HardshipClass.DIBAO_MARGIN),
        (YEAR * 3 // 2, (), HardshipClass.DIBAO_MARGIN),
        (YEAR * 3 // 2 + 1, (Cause.ACCIDENT,), HardshipClass.ACCIDENTAL),
        (YEAR * 3, (Cause.SCHOOLING, Cause.DISASTER), HardshipClass.ACCIDENTAL),
        (YEAR * 3, (Cause.SCHOOLING,), HardshipClass.NONE),
        (YEAR * 3 + 1, (Cause.ACCIDENT,), HardshipClass.NONE),
    ],
)
def test_the_older_scheme_to_the_fen(income: int, causes: tuple[Cause, ...], expected: HardshipClass) -> None:
    inputs = household(person((LineKind.WAGE, income)), causes=causes)
    assert classed(inputs, classification_scheme="older") is expected


def test_an_able_adult_without_a_job_is_taken_to_earn_the_minimum_wage() -> None:
    wage = defaults().values[RuleKey.MINIMUM_WAGE] * 12
    for idle, income in (
        (person(occupation=Occupation.UNEMPLOYED), wage),
        (person((LineKind.WAGE, 5_000), occupation=Occupation.UNEMPLOYED), wage),
        (person((LineKind.WAGE, wage + 1), occupation=Occupation.UNEMPLOYED), wage + 1),
        (person(occupation=Occupation.UNEMPLOYED, is_able=False), 0),
        (person(occupation=Occupation.UNEMPLOYED, birth_year=2010), 0),
        (person(occupation=Occupation.STUDENT), 0),
    ):
        assert classify(household(idle), rules(), ON).income == income


def test_aid_is_income_where_the_rules_of_its_day_said_so() -> None:
    aid = (Aid(YEAR, ON, counts=True), Aid(7, ON, counts=False), Aid(9, date(2025, 3, 16), counts=True))
    found = classify(household(person(), aid=aid), rules(), ON)
    assert (found.income, found.hardship_class) == (YEAR, HardshipClass.RELATIVE)
    assert {(line.code, line.fen) for line in found.lines} >= {("aid", YEAR), ("aid-not-counted", 7)}


def test_only_twelve_months_count() -> None:
    old = person((LineKind.WAGE, 5 * YEAR), on=date(2025, 3, 16))
    new = person((LineKind.WAGE, 5 * YEAR), on=date(2025, 3, 17))
    assert classed(household(old)) is HardshipClass.DEEP
    assert classed(household(new)) is HardshipClass.NONE
    assert a_year_before(date(2028, 2, 29)) == date(2027, 2, 28)


@pytest.mark.parametrize("exclusion", Exclusion)
def test_an_exclusion_bars_from_any_class(exclusion: Exclusion) -> None:
    assert classed(household(person())) is HardshipClass.DEEP
    found = classify(household(person(), exclusions=(exclusion,)), rules(), ON)
    assert found.hardship_class is HardshipClass.NONE
    assert f"excluded-{exclusion.value.replace('_', '-')}" in {line.code for line in found.lines}


amounts = st.builds(
    Amount,
    st.sampled_from(LineKind),
    st.integers(1, 10_000_000_000_000),
    st.dates(date(2024, 1, 1), ON),
)
people = st.builds(
    PersonInput,
    st.uuids(),
    st.sampled_from(Occupation),
    st.booleans(),
    st.one_of(st.none(), st.integers(1930, 2026)),
    st.lists(amounts, max_size=6).map(tuple),
)
households = st.builds(
    Inputs,
    st.lists(people, min_size=1, max_size=5, unique_by=lambda one: one.id).map(tuple),
    st.lists(
        st.builds(Aid, st.integers(1, 10**9), st.dates(date(2024, 1, 1), ON), st.booleans()), max_size=3
    ).map(tuple),
    st.lists(st.sampled_from(Cause), max_size=2).map(tuple),
    st.lists(st.sampled_from(Exclusion), unique=True, max_size=2).map(tuple),
)


def figures(found: Assessment) -> tuple[object, ...]:
    return (found.hardship_class, found.net, found.income, found.spending, sorted(map(str, found.lines)))


@given(households, st.sampled_from(["current", "older"]))
def test_what_was_packed_is_decided_the_same_again(inputs: Inputs, scheme: str) -> None:
    found = rules(classification_scheme=scheme)
    again = Inputs.unpacked(inputs.packed())
    assert figures(classify(again, found, ON)) == figures(classify(inputs, found, ON))
    assert again.digest(b"k") == inputs.digest(b"k")


@given(households, st.integers(1, 10**9))
def test_more_income_never_makes_a_household_poorer(inputs: Inputs, more: int) -> None:
    order = [HardshipClass.DEEP, HardshipClass.RELATIVE]
    first = inputs.persons[0]
    richer = PersonInput(
        first.id,
        first.occupation,
        first.is_able,
        first.birth_year,
        (*first.amounts, Amount(LineKind.PROPERTY, more, ON)),
    )
    before = classify(inputs, rules(), ON)
    after = classify(
        Inputs((richer, *inputs.persons[1:]), inputs.aid, inputs.causes, inputs.exclusions), rules(), ON
    )
    assert after.net >= before.net
    if after.hardship_class in order:
        assert inputs.exclusions or order.index(before.hardship_class) <= order.index(after.hardship_class)


@given(households)
def test_the_digest_tells_inputs_apart_by_what_they_are(inputs: Inputs) -> None:
    turned = Inputs(inputs.persons[::-1], inputs.aid[::-1], inputs.causes, inputs.exclusions[::-1])
    assert turned.digest(b"k") == inputs.digest(b"k")
    other = Inputs(inputs.persons, (*inputs.aid, Aid(1, ON, counts=True)), inputs.causes, inputs.exclusions)
    assert other.digest(b"k") != inputs.digest(b"k")
    assert inputs.digest(b"other") != inputs.digest(b"k")


def test_each_line_has_words_in_both_languages() -> None:
    texts.register("welfare_service")
    codes = {f"class-{one.value.replace('_', '-')}" for one in HardshipClass}
    codes |= {f"excluded-{one.value.replace('_', '-')}" for one in Exclusion} | {
        kind.value for kind in LineKind
    }
    codes |= {
        "imputed-wage",
        "aid",
        "aid-not-counted",
        "total-income",
        "total-spending",
        "net",
        "limit-dibao",
    }
    codes |= {"limit-relative", "limit-accidental", "limit-dibao-margin", "limit-accidental-income"}
    assert [code for code in sorted(codes) if not texts.has_text(f"dossier-line-{code}")] == []
