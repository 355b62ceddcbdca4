from collections import Counter
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from gateway_service.dashboard.domain import Counted, Difference, after, age_band, differences, stock_cells
from shared.contracts.envelope import Received
from shared.contracts.membership import MEMBERS

MEMBER, HERE, THERE = UUID(int=1), UUID(int=10), UUID(int=11)
DAY, LATER = date(2026, 3, 1), date(2026, 3, 9)


def member_event(sequence: int, status: str, on: date, organisation: UUID = HERE, **state: Any) -> Received:
    public = {
        "member_id": str(MEMBER),
        "organisation_id": str(organisation),
        "status": status,
        "gender": "female",
        "birth_year": 1990,
        "employment_form": "contract",
    } | state
    return Received(
        topic=MEMBERS.name,
        partition=0,
        offset=sequence,
        id=UUID(int=100 + sequence),
        type="unionhall.membership.member.changed.v1",
        source="/unionhall/membership",
        subject=MEMBER,
        sequence=sequence,
        time=datetime(2026, 3, 5, tzinfo=UTC),
        data={"on": on.isoformat(), "state": public},
    )


def step(before: Counted | None, event: Received) -> tuple[Counted, Counter[Difference]]:
    now = after(before, event)
    assert now is not None
    return now, Counter(differences(before, now))


def test_an_applicant_counts_by_status_alone() -> None:
    _, changes = step(None, member_event(1, "applied", DAY))
    assert changes == Counter([Difference(HERE, "status=applied", DAY, 1)])


def test_an_admission_moves_the_status_and_opens_the_other_cells() -> None:
    applied, _ = step(None, member_event(1, "applied", DAY))
    _, changes = step(applied, member_event(2, "active", LATER))
    assert changes == Counter(
        [
            Difference(HERE, "status=applied", LATER, -1),
            Difference(HERE, "status=active", LATER, 1),
            Difference(HERE, "gender=female", LATER, 1),
            Difference(HERE, "birth_year=1990", LATER, 1),
            Difference(HERE, "employment_form=contract", LATER, 1),
            Difference(HERE, "joined", LATER, 1),
        ]
    )


def test_a_transfer_takes_all_cells_along_and_is_no_joining() -> None:
    active, _ = step(None, member_event(1, "active", DAY))
    _, changes = step(active, member_event(2, "active", LATER, THERE))
    assert {(change.cell, change.change) for change in changes if change.organisation_id == HERE} == {
        ("status=active", -1),
        ("gender=female", -1),
        ("birth_year=1990", -1),
        ("employment_form=contract", -1),
        ("transferred_out", 1),
    }
    assert {change.cell for change in changes if change.organisation_id == THERE} >= {
        "transferred_in",
        "status=active",
    }
    assert not any(change.cell in {"joined", "left"} for change in changes)


def test_asking_for_a_transfer_changes_only_the_status() -> None:
    active, _ = step(None, member_event(1, "active", DAY))
    _, changes = step(active, member_event(2, "transferring", LATER))
    assert {(change.cell, change.change) for change in changes} == {
        ("status=active", -1),
        ("status=transferring", 1),
    }


def test_a_retained_member_leaves_the_statistics() -> None:
    active, _ = step(None, member_event(1, "active", DAY))
    retained, changes = step(active, member_event(2, "retained", LATER))
    assert not retained.in_statistics
    assert ("left", 1) in {(change.cell, change.change) for change in changes}


def test_an_old_event_changes_nothing() -> None:
    active, _ = step(None, member_event(2, "active", DAY))
    assert after(active, member_event(1, "applied", DAY)) is active
    assert after(active, member_event(2, "active", DAY)) is active


def test_a_change_reported_late_never_counts_before_an_earlier_change() -> None:
    active, _ = step(None, member_event(1, "active", LATER))
    deceased, _ = step(active, member_event(2, "deceased", DAY))
    assert deceased.day == LATER


def test_an_erased_member_counts_nowhere_and_stays_known() -> None:
    active, opened = step(None, member_event(1, "active", DAY))
    tombstone = member_event(2, "active", DAY)
    gone = after(
        active, Received(**{name: getattr(tombstone, name) for name in Received.__slots__} | {"data": None})
    )
    assert gone is not None
    assert (gone.sequence, gone.cells()) == (2, frozenset())
    closed = Counter({change.cell: change.change for change in differences(active, gone)})
    assert all(closed[change.cell] == -1 for change in opened if "=" in change.cell)


def test_every_year_a_worker_can_be_born_in_has_a_cell() -> None:
    cells = stock_cells(DAY)
    assert {f"birth_year={year}" for year in range(1910, 2013)} <= set(cells)
    assert "birth_year=unknown" in cells
    in_a_century = stock_cells(DAY.replace(year=DAY.year + 100))
    assert set(cells) <= set(in_a_century), "whoever is counted today is found by age on any later day"


def test_age_bands_meet_without_gap() -> None:
    assert [age_band(str(2026 - age), DAY) for age in (18, 25, 26, 35, 36, 45, 46, 55, 56, 80)] == [
        "0-25", "0-25", "26-35", "26-35", "36-45", "36-45", "46-55", "46-55", "56+", "56+",
    ]  # fmt: skip
    assert age_band("unknown", DAY) == "unknown"
