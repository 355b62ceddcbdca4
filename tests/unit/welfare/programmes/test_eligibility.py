"""Eligibility rules: how they are read, what is refused, how one member is judged."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.membership import EmploymentForm, Gender
from shared.contracts.welfare import HardshipClass
from shared.kernel.errors import Invalid
from shared.kernel.ids import new_id
from shared.kernel.texts import register, text
from welfare_service.programmes.eligibility import Criterion, Facts, Reason, months_before, reasons
from welfare_service.programmes.judging import age_on
from welfare_service.programmes.reading import parse

TODAY = date(2026, 3, 16)
UNIT, OTHER = new_id(), new_id()
PATHS = {UNIT: "1/a/", OTHER: "1/b/"}


def facts(**changed: Any) -> Facts:
    known: dict[str, Any] = {
        "age": 35,
        "gender": Gender.FEMALE,
        "employment_form": EmploymentForm.CONTRACT,
        "path": "1/a/3/",
        "joined_on": date(2020, 1, 1),
        "hardship_class": HardshipClass.DEEP,
        "helped_by_this": None,
        "helped_by_any": None,
    }
    return Facts(**known | changed)


@pytest.mark.parametrize(
    ("rule", "changed", "expected"),
    [
        ({"everybody": True}, {}, []),
        ({"hardship_class": ["deep", "relative"]}, {}, []),
        ({"hardship_class": ["relative"]}, {}, ["hardship-class"]),
        ({"age": {"min": 35, "max": 35}}, {}, []),
        ({"age": {"min": 36}}, {}, ["age"]),
        ({"age": {"max": 34}}, {}, ["age"]),
        ({"age": {"max": 60}}, {"age": None}, ["age"]),
        ({"gender": ["male"]}, {}, ["gender"]),
        ({"employment_form": ["migrant", "contract"]}, {}, []),
        ({"within": str(UNIT)}, {}, []),
        ({"within": str(OTHER)}, {}, ["within"]),
        ({"member_months": 6}, {"joined_on": date(2025, 9, 16)}, []),
        ({"member_months": 6}, {"joined_on": date(2025, 9, 17)}, ["member-months"]),
        ({"member_months": 6}, {"joined_on": None}, ["member-months"]),
        ({"not_helped": {"months": 12}}, {"helped_by_any": date(2025, 3, 16)}, []),
        ({"not_helped": {"months": 12}}, {"helped_by_any": date(2025, 3, 17)}, ["not-helped"]),
        ({"not_helped": {"months": 12, "by": "this"}}, {"helped_by_any": TODAY}, []),
        ({"not": {"gender": ["female"]}}, {}, ["gender!"]),
        ({"all": [{"gender": ["male"]}, {"age": {"min": 50}}]}, {}, ["gender", "age"]),
        ({"any": [{"gender": ["male"]}, {"age": {"min": 50}}]}, {}, ["gender", "age"]),
        ({"any": [{"gender": ["male"]}, {"age": {"min": 18}}]}, {}, []),
        ({"not": {"any": [{"gender": ["male"]}, {"age": {"min": 18}}]}}, {}, ["age!"]),
        ({"not": {"all": [{"gender": ["female"]}, {"age": {"min": 18}}]}}, {}, ["gender!", "age!"]),
        ({"not": {"all": [{"gender": ["male"]}, {"age": {"min": 18}}]}}, {}, []),
    ],
)
def test_a_member_is_judged_with_every_reason(
    rule: Any, changed: dict[str, Any], expected: list[str]
) -> None:
    found = reasons(parse(rule), facts(**changed), TODAY, PATHS)
    assert [f"{reason.criterion}{'!' * reason.negated}" for reason in found] == expected


@pytest.mark.parametrize(
    ("written", "code", "place"),
    [
        (None, "eligibility-one-criterion", "eligibility"),
        ([], "eligibility-one-criterion", "eligibility"),
        ({}, "eligibility-one-criterion", "eligibility"),
        ({"age": {"min": 1}, "gender": ["male"]}, "eligibility-one-criterion", "eligibility"),
        ({"everybody": False}, "eligibility-everybody-alone", "eligibility/everybody"),
        ({"any": [{"everybody": True}]}, "eligibility-everybody-alone", "eligibility/any/0/everybody"),
        ({"all": []}, "eligibility-empty", "eligibility/all"),
        ({"all": {"age": {"min": 1}}}, "eligibility-empty", "eligibility/all"),
        ({"all": [{"income": 3}]}, "eligibility-unknown", "eligibility/all/0"),
        ({"age": {"least": 3}}, "eligibility-unknown", "eligibility/age"),
        ({"age": {"min": "18"}}, "eligibility-number", "eligibility/age/min"),
        ({"age": {"min": 1.5}}, "eligibility-number", "eligibility/age/min"),
        ({"age": {"min": True}}, "eligibility-number", "eligibility/age/min"),
        ({"age": {"max": 131}}, "eligibility-number", "eligibility/age/max"),
        ({"age": {}}, "eligibility-empty", "eligibility/age"),
        ({"age": {"min": 5, "max": 4}}, "eligibility-contradictory", "eligibility/age"),
        ({"gender": []}, "eligibility-empty", "eligibility/gender"),
        ({"gender": ["woman"]}, "field-not-listed", "eligibility/gender"),
        ({"gender": [[]]}, "eligibility-empty", "eligibility/gender"),
        ({"within": "here"}, "field-not-id", "eligibility/within"),
        ({"within": None}, "field-not-id", "eligibility/within"),
        ({"member_months": 0}, "eligibility-number", "eligibility/member_months"),
        ({"not_helped": {"by": "any"}}, "eligibility-number", "eligibility/not_helped/months"),
        ({"not_helped": {"months": 1, "by": "all"}}, "field-not-listed", "eligibility/not_helped/by"),
        # What nobody can meet.
        ({"all": [{"age": {"max": 17}}, {"age": {"min": 18}}]}, "eligibility-contradictory", "eligibility"),
        (
            {"all": [{"gender": ["male"]}, {"not": {"gender": ["male"]}}]},
            "eligibility-contradictory",
            "eligibility",
        ),
        (
            {"all": [{"member_months": 12}, {"not": {"member_months": 6}}]},
            "eligibility-contradictory",
            "eligibility",
        ),
        # What everybody meets.
        ({"gender": ["male", "female", "unknown"]}, "eligibility-selects-everybody", "eligibility"),
        (
            {"any": [{"not_helped": {"months": 6}}, {"not": {"not_helped": {"months": 12}}}]},
            "eligibility-selects-everybody",
            "eligibility",
        ),
        (
            {"not": {"not": {"not": {"not": {"not": {"not": {"age": {"min": 1}}}}}}}},
            "eligibility-too-complex",
            None,
        ),
        ({"all": [{"within": str(new_id())} for _ in range(17)]}, "eligibility-too-complex", "eligibility"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_where_it_is_wrong(
    written: Any, code: str, place: str | None
) -> None:
    with pytest.raises(Invalid) as refusal:
        parse(written)
    assert refusal.value.code == code
    assert place is None or refusal.value.problems[0].path == place


leaf = st.one_of(
    st.fixed_dictionaries(
        {"gender": st.lists(st.sampled_from(list(Gender)), min_size=1, max_size=2, unique=True)}
    ),
    st.fixed_dictionaries(
        {"age": st.fixed_dictionaries({"min": st.integers(0, 60), "max": st.integers(60, 100)})}
    ),
    st.fixed_dictionaries({"member_months": st.integers(1, 60)}),
    st.fixed_dictionaries({"within": st.sampled_from([str(UNIT), str(OTHER)])}),
)
rule = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=8,
)


def truth(written: Any, member: Facts) -> bool:
    """The plainest reading of a rule."""
    [(name, value)] = written.items()
    match name:
        case "all":
            return all(truth(part, member) for part in value)
        case "any":
            return any(truth(part, member) for part in value)
        case "not":
            return not truth(value, member)
        case _:
            return not reasons(parse(written), member, TODAY, PATHS)


@given(
    rule,
    st.integers(0, 100),
    st.sampled_from(list(Gender)),
    st.dates(date(2015, 1, 1), TODAY),
    st.sampled_from(["1/a/", "1/b/9/", "1/c/"]),
)
def test_there_are_reasons_exactly_when_the_rule_does_not_hold(
    written: Any, age: int, gender: Gender, joined: date, path: str
) -> None:
    member = facts(age=age, gender=gender, joined_on=joined, path=path)
    try:
        selects = not reasons(parse(written), member, TODAY, PATHS)
    except Invalid as refusal:
        if refusal.code not in {"eligibility-contradictory", "eligibility-selects-everybody"}:
            return
        selects = refusal.code == "eligibility-selects-everybody"
    assert selects == truth(written, member)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 3, 31), 1, date(2026, 2, 28)),
        (date(2024, 3, 31), 1, date(2024, 2, 29)),
        (date(2026, 1, 15), 1, date(2025, 12, 15)),
        (date(2026, 12, 31), 12, date(2025, 12, 31)),
        (date(2026, 3, 16), 14, date(2025, 1, 16)),
    ],
)
def test_months_before(day: date, months: int, expected: date) -> None:
    assert months_before(day, months) == expected


@pytest.mark.parametrize(
    ("day", "born", "age"),
    [
        (date(2026, 3, 16), date(1990, 3, 16), 36),
        (date(2026, 3, 15), date(1990, 3, 16), 35),
        (date(2026, 2, 28), date(2000, 2, 29), 25),
        (date(2026, 3, 1), date(2000, 2, 29), 26),
        (date(2026, 3, 1), None, None),
    ],
)
def test_whole_years(day: date, born: date | None, age: int | None) -> None:
    assert age_on(day, born) == age


def test_every_reason_has_its_words() -> None:
    register("welfare_service")
    for criterion in Criterion:
        for reason in (Reason(criterion), Reason(criterion, negated=True)):
            code = f"eligibility-{reason.criterion}" + ("-excluded" if reason.negated else "")
            assert text(code, "zh-CN") != text(code, "en")
