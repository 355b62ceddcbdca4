"""The steps of an activity, and what its plan may say."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.activities.domain import Activity, Happening
from events_service.activities.plan import (
    ActivityKind,
    Audience,
    Candidate,
    Plan,
    Quota,
    Session,
    seats_by_pool,
)
from shared.contracts.events_service import ActivityStage, AdmissionMode
from shared.contracts.membership import EmploymentForm, Gender, MemberStatus
from shared.kernel.errors import About, Conflict, DomainError, Forbidden, Invalid
from shared.security.acting import By

NOW = datetime(2026, 3, 16, tzinfo=UTC)
DAY = timedelta(days=1)
UNIT, OTHER = UUID(int=1), UUID(int=2)
MADE, APPROVES = By("iss", "organiser", NOW), By("iss", "approver", NOW)
AFTER = By("iss", "organiser", NOW + 20 * DAY)


def plan(**changes: Any) -> Plan:
    good: dict[str, Any] = {
        "title": "t",
        "kind": ActivityKind.SPORT,
        "description": "",
        "place": "p",
        "sessions": (Session(NOW + 10 * DAY, NOW + 11 * DAY),),
        "audience": Audience(organisation_id=UNIT),
        "mode": AdmissionMode.FIRST_COME,
        "capacity": 10,
        "quotas": (),
        "registration_opens_at": NOW + DAY,
        "registration_closes_at": NOW + 8 * DAY,
    }
    return Plan(**good | changes)


def drafted(**changes: Any) -> Activity:
    return Activity.draft(UUID(int=9), UNIT, "1/", plan(**changes), MADE)[0]


STEPS: dict[str, Callable[[Activity], object]] = {
    "submit": lambda one: one.submit(MADE),
    "return": lambda one: one.return_(APPROVES, "why"),
    "approve": lambda one: one.approve(APPROVES, {("iss", "organiser")}),
    "publish": lambda one: one.publish(MADE),
    "open": lambda one: one.open(MADE),
    "close": lambda one: one.close(MADE),
    "hold": lambda one: one.hold(AFTER),
    "archive": lambda one: one.archive(AFTER),
    "cancel": lambda one: one.cancel(MADE, "why"),
}
ALLOWED = {
    "draft": {"submit": "submitted", "cancel": "cancelled"},
    "submitted": {"approve": "approved", "return": "draft", "cancel": "cancelled"},
    "approved": {"publish": "published", "cancel": "cancelled"},
    "published": {"open": "open", "cancel": "cancelled"},
    "open": {"close": "closed", "cancel": "cancelled"},
    "closed": {"hold": "held", "cancel": "cancelled"},
    "held": {"archive": "archived"},
    "archived": {},
    "cancelled": {},
}  # type: dict[str, dict[str, str]]


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=30))
def test_every_way_through_the_stages_is_one_of_the_table(names: list[str]) -> None:
    activity = drafted()
    versions = 1
    for name in names:
        before = activity.stage
        target = ALLOWED[before].get(name)
        if target is None:
            with pytest.raises(Conflict):
                STEPS[name](activity)
            assert activity.stage == before
        else:
            STEPS[name](activity)
            versions += 1
            assert activity.stage == target
        assert activity.version == versions
    assert set(ALLOWED) == set(ActivityStage)


def test_nobody_approves_an_own_plan() -> None:
    activity = drafted()
    activity.submit(MADE)
    with pytest.raises(Forbidden):
        activity.approve(APPROVES, {("iss", "approver")})
    assert activity.approve(APPROVES, {("other", "approver")}).happening is Happening.APPROVED


@pytest.mark.parametrize(
    "changes",
    [
        {"sessions": ()},
        {"sessions": (Session(NOW + 10 * DAY, NOW + 10 * DAY),)},
        {"sessions": (Session(NOW + 10 * DAY, NOW + 12 * DAY), Session(NOW + 11 * DAY, NOW + 13 * DAY))},
        {"registration_closes_at": NOW + DAY},
        {"registration_closes_at": NOW + 10 * DAY + timedelta(seconds=1)},
        {"quotas": (Quota(OTHER, 11),)},
        {"quotas": (Quota(OTHER, 1), Quota(OTHER, 1))},
        {"audience": Audience(organisation_id=UNIT, min_age=31, max_age=30)},
    ],
)
def test_a_plan_that_cannot_be(changes: dict[str, Any]) -> None:
    plan().check()
    with pytest.raises(Invalid):
        plan(**changes).check()


def test_seats_of_pools_make_up_the_capacity() -> None:
    quotas = (Quota(UNIT, 3), Quota(OTHER, 2))
    assert seats_by_pool(10, quotas) == [5, 3, 2]
    assert seats_by_pool(5, quotas) == [0, 3, 2]


def test_what_is_approved_changes_only_in_place_text_and_time() -> None:
    activity = drafted()
    activity.submit(MADE)
    with pytest.raises(Conflict):
        activity.change(plan(title="x"), MADE)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: activity.amend(MADE, place="q"),
        lambda: activity.change_seats(9, (), MADE),
    )
    for attempt in attempts:
        with pytest.raises(Conflict, match="activity-not-amendable") as refused:
            attempt()
        # So the try is audited.
        assert refused.value.about == About("activity", activity.id, activity.path)
    activity.approve(APPROVES, set())
    entry = activity.amend(MADE, place="q", sessions=(Session(NOW + 12 * DAY, NOW + 13 * DAY),))
    assert set(entry.changes) == {"place", "sessions", "starts_at", "ends_at"}
    assert activity.changed_at == NOW
    with pytest.raises(Invalid):
        activity.amend(MADE, sessions=(Session(NOW + 7 * DAY, NOW + 13 * DAY),))
    with pytest.raises(DomainError):
        activity.change_seats(10, (Quota(OTHER, 1),), MADE)


def test_hold_waits_for_the_beginning() -> None:
    activity = drafted()
    for name in ("submit", "approve", "publish", "open", "close"):
        STEPS[name](activity)
    with pytest.raises(Conflict):
        activity.hold(MADE)
    assert activity.stage is ActivityStage.CLOSED


def test_age_counts_by_the_year_in_which_it_begins() -> None:
    new_year = datetime(2026, 12, 31, 17, tzinfo=UTC)  # 2027 in China
    activity = drafted(
        audience=Audience(organisation_id=UNIT, min_age=60), sessions=(Session(new_year, new_year + DAY),)
    )
    facts: dict[str, Any] = {
        "status": MemberStatus.ACTIVE,
        "is_below": True,
        "gender": Gender.MALE,
        "employment_form": EmploymentForm.CONTRACT,
        "roles": (),
    }
    assert activity.welcomes(Candidate(birth_year=1967, **facts))
    assert not activity.welcomes(Candidate(birth_year=1968, **facts))
