from datetime import date
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership_service.organisations.domain import (
    LEVELS,
    Numbered,
    Organisation,
    Plan,
    PlanKind,
    PlanState,
    effective_day,
    must_fit_below,
)
from shared.contracts.membership import OrganisationKind
from shared.kernel.errors import Conflict, DomainError, Invalid

TODAY = date(2026, 3, 16)
COUNTY, JOINT, BRANCH = OrganisationKind.COUNTY, OrganisationKind.JOINT, OrganisationKind.BRANCH


def root() -> Organisation:
    return Organisation.root(
        organisation_id=uuid4(),
        numbered=Numbered(1, "1/"),
        code="SF",
        name="示例省总工会",
        kind=OrganisationKind.PROVINCIAL,
        founded_on=date(2020, 1, 1),
    )


def below(
    parent: Organisation, number: int, kind: OrganisationKind = COUNTY, founded_on: date = date(2021, 5, 1)
) -> Organisation:
    return Organisation.found(
        organisation_id=uuid4(),
        numbered=Numbered(number, f"{parent.path}{number:x}/"),
        code=f"U{number}",
        name=f"第{number}工会",
        kind=kind,
        parent=parent,
        founded_on=founded_on,
        today=TODAY,
    )


def refusal(refused: pytest.ExceptionInfo[DomainError]) -> str:
    return refused.value.code


def test_a_unit_stands_below_its_parent_from_the_later_founding_day() -> None:
    top = root()
    assert below(top, 2).parent_since == date(2021, 5, 1)
    older = below(top, 3, founded_on=date(1999, 1, 1))
    assert (older.founded_on, older.parent_since) == (date(1999, 1, 1), date(2020, 1, 1))


def test_no_unit_is_founded_tomorrow() -> None:
    below(root(), 2, founded_on=TODAY)
    with pytest.raises(Invalid) as refused:
        below(root(), 2, founded_on=date(2026, 3, 17))
    assert refusal(refused) == "organisation-founded-in-future"


@given(st.sampled_from(OrganisationKind), st.sampled_from(OrganisationKind))
def test_no_unit_outranks_its_parent_but_industry_is_free(
    kind: OrganisationKind, parent: OrganisationKind
) -> None:
    allowed = OrganisationKind.INDUSTRY in {kind, parent} or LEVELS.index(kind) >= LEVELS.index(parent)
    if allowed:
        must_fit_below(kind, parent)
    else:
        with pytest.raises(Invalid):
            must_fit_below(kind, parent)


def test_every_kind_has_a_level() -> None:
    assert {*LEVELS, OrganisationKind.INDUSTRY} == set(OrganisationKind)


def test_a_change_raises_the_version_by_one_and_no_change_is_refused() -> None:
    unit = below(root(), 2)
    unit.rename(name="新名", kind=COUNTY, parent=None)
    assert (unit.name, unit.version) == ("新名", 2)
    with pytest.raises(Invalid) as refused:
        unit.rename(name="新名", kind=COUNTY, parent=None)
    assert (refusal(refused), unit.version) == ("organisation-unchanged", 2)


def test_a_move_never_makes_a_circle() -> None:
    top = root()
    county, other = below(top, 2), below(top, 3)
    joint = below(county, 4, JOINT)
    with pytest.raises(Conflict) as refused:
        county.move(joint, path="1/2/4/2/", on=TODAY)
    assert (refusal(refused), county.path, county.version) == ("organisation-cycle", "1/2/", 1)
    joint.move(other, path="1/3/4/", on=TODAY)
    assert (joint.parent_id, joint.parent_since, joint.path, joint.version) == (other.id, TODAY, "1/3/4/", 2)


def test_a_path_that_merely_begins_alike_is_no_circle() -> None:
    top = root()
    county, namesake = below(top, 0x2), below(top, 0x2A)
    county.move(namesake, path="1/2a/2/", on=TODAY)
    assert county.parent_id == namesake.id


def test_a_move_does_not_reach_back_before_the_last_one() -> None:
    top = root()
    joint, county, other = below(top, 4, JOINT), below(top, 2), below(top, 3)
    joint.move(county, path="1/2/4/", on=TODAY)
    with pytest.raises(Conflict) as refused:
        joint.move(other, path="1/3/4/", on=date(2026, 3, 1))
    assert refusal(refused) == "organisation-move-before-parent"


def test_a_dissolved_unit_neither_moves_nor_takes_anything_over() -> None:
    top = root()
    ended, county, joint = below(top, 2), below(top, 3), below(top, 4, JOINT)
    ended.dissolve(county, {}, on=TODAY)
    for act in (
        lambda: ended.move(county, path="1/3/2/", on=TODAY),
        lambda: joint.move(ended, path="1/2/4/", on=TODAY),
        lambda: joint.dissolve(ended, {}, on=TODAY),
        lambda: ended.rename(name="再", kind=COUNTY, parent=None),
        lambda: below(ended, 5, BRANCH),
    ):
        with pytest.raises(Conflict) as refused:
            act()
        assert refusal(refused) == "organisation-dissolved"


def test_the_root_stays_and_nobody_succeeds_himself() -> None:
    top = root()
    county = below(top, 2)
    with pytest.raises(Conflict) as fixed:
        top.dissolve(county, {}, on=TODAY)
    assert refusal(fixed) == "organisation-root-fixed"
    with pytest.raises(Invalid) as own:
        county.dissolve(county, {}, on=TODAY)
    assert refusal(own) == "organisation-own-successor"


def test_what_still_stands_on_a_unit_is_named() -> None:
    top = root()
    county, successor = below(top, 2), below(top, 3)
    with pytest.raises(Conflict) as refused:
        county.dissolve(successor, {"members": 15, "posts": 0, "organisations": 2}, on=TODAY)
    assert [(problem.code, problem.params["count"]) for problem in refused.value.problems] == [
        ("organisation-still-has-members", 15),
        ("organisation-still-has-organisations", 2),
    ]
    county.dissolve(successor, {"members": 0}, on=TODAY)
    assert (county.dissolved_on, county.version) == (TODAY, 2)


def test_a_change_holds_from_today_or_later() -> None:
    assert effective_day(None, TODAY) == TODAY
    assert effective_day(date(2026, 4, 1), TODAY) == date(2026, 4, 1)
    with pytest.raises(Invalid):
        effective_day(date(2026, 3, 15), TODAY)


def test_a_plan_ends_once() -> None:
    plan = Plan(
        id=uuid4(),
        organisation_id=UUID(int=1),
        kind=PlanKind.MOVE,
        target_id=UUID(int=2),
        effective_on=TODAY,
        planned_issuer="i",
        planned_subject="s",
        planned_at=None,  # type: ignore[arg-type]
        path="1/",
    )
    plan.refuse("organisation-cycle")
    assert (plan.state, plan.refusal) == (PlanState.REFUSED, "organisation-cycle")
    with pytest.raises(Conflict):
        plan.cancel()
