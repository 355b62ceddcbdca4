"""The made-up federation: the same each time, people whom the import takes, faults that it names."""

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from stdnum.cn import uscc

from membership_service.organisations.sheet import SheetRow, parse
from membership_service.organisations.tree_import import arrange, read_units
from membership_service.rosters.checking import Person, RowChecker
from membership_service.rosters.columns import Header, recognise
from membership_service.rosters.domain import CellProblem
from unionhall_cli.demo import places, roster
from unionhall_cli.demo.places import LARGE, SMALL, Scale, Unit
from unionhall_cli.demo.spoiling import OF_PEOPLE, WAYS, kinds

TODAY = date(2026, 3, 2)
TINY = replace(SMALL, members=2_000, spoilt_rows=100)
#: Seen by comparing rows with each other and with the units there are, not by looking at one row.
SEEN_LATER = {"twice", "unit"}


def unions(scale: Scale) -> list[Unit]:
    return [unit for unit in places.units(scale) if unit.weight]


@pytest.fixture(scope="module")
def rows() -> list[roster.Row]:
    return list(roster.rows(TINY, unions(TINY), 1, TODAY))


@pytest.fixture
def checker() -> RowChecker:
    header = recognise(1, roster.HEADINGS)
    assert isinstance(header, Header)
    return RowChecker(header, TODAY)


def judged(checker: RowChecker, row: roster.Row) -> Person | list[CellProblem]:
    return checker.check([row.cells[heading] for heading in roster.HEADINGS])


@pytest.mark.parametrize("scale", [SMALL, LARGE], ids=lambda scale: scale.name)
def test_the_tree_has_three_levels_and_is_one_that_the_import_founds(scale: Scale) -> None:
    units = places.units(scale)
    assert len(units) + 1 == scale.organisations
    assert {len(unit.code) for unit in units} == {4, 6, 9}
    read = read_units([SheetRow(**row) for row in parse(roster.units_sheet(units))], TODAY)
    assert len(arrange(read, set())) == len(units)


def test_a_code_means_the_same_unit_at_every_scale() -> None:
    large = {unit.code: replace(unit, weight=0.0) for unit in places.units(LARGE)}
    small = {unit.code: replace(unit, weight=0.0) for unit in places.units(SMALL)}
    assert small.items() <= large.items()


def test_every_good_row_is_taken_and_no_two_share_a_document_or_a_phone(
    rows: list[roster.Row], checker: RowChecker
) -> None:
    people = [judged(checker, row) for row in rows if not row.fault]
    assert len(people) == TINY.members
    assert [found for found in people if not isinstance(found, Person)] == []
    taken = [person for person in people if isinstance(person, Person)]
    assert len({person.number for person in taken}) == len(taken)
    phones = [person.phone for person in taken if person.phone]
    assert len(set(phones)) == len(phones)
    # The region 99 is assigned to nobody: nobody real can have such a number.
    assert checker.warnings["document-region-unknown"] > 0.9 * TINY.members
    assert len({person.document_type for person in taken}) == 5


def test_every_spoilt_row_is_refused_for_its_own_reason(rows: list[roster.Row], checker: RowChecker) -> None:
    spoilt = [row for row in rows if row.fault]
    assert Counter(row.fault for row in spoilt).keys() == {*WAYS, *OF_PEOPLE}
    assert len(spoilt) == TINY.spoilt_rows
    for row in spoilt:
        found = judged(checker, row)
        if row.fault in SEEN_LATER:
            assert isinstance(found, Person), row.fault
        else:
            assert isinstance(found, list), row.fault
            expected = WAYS[row.fault][0] if row.fault in WAYS else OF_PEOPLE[row.fault]
            assert [problem.code for problem in found] == [expected], row.fault


def test_who_is_spoilt_twice_stands_in_two_rows(rows: list[roster.Row], checker: RowChecker) -> None:
    twice = [judged(checker, row) for row in rows if row.fault == "twice"]
    numbers = Counter(person.number for person in twice if isinstance(person, Person))
    assert set(numbers.values()) == {2}


@pytest.mark.parametrize("count", [50, 100, 200, 2_000])
def test_faults_are_as_many_as_asked_for(count: int) -> None:
    found = Counter(kinds(count))
    assert found.total() == count
    assert found.keys() == {*WAYS, *OF_PEOPLE}
    assert found["twice"] % 2 == 0


@pytest.mark.parametrize("ending", ["xlsx", "csv"])
def test_the_same_seed_and_day_write_the_same_bytes(tmp_path: Path, ending: str) -> None:
    scale = replace(SMALL, members=300, spoilt_rows=60)

    def digest(seed: int) -> str:
        path = tmp_path / f"roster.{ending}"
        roster.write(path, roster.rows(scale, unions(scale), seed, TODAY))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


def test_scales_never_share_a_person() -> None:
    large = replace(LARGE, members=500, spoilt_rows=60)
    small = replace(SMALL, members=500, spoilt_rows=60)
    numbers = [
        {str(row.cells["证件号码"]) for row in roster.rows(scale, unions(scale), 1, TODAY) if not row.fault}
        for scale in (small, large)
    ]
    assert not numbers[0] & numbers[1]


def test_employers_have_good_codes_and_room_for_their_members(rows: list[roster.Row]) -> None:
    members = Counter(str(row.cells["工会组织编码"]) for row in rows if not row.fault)
    employers = places.employers(SMALL, places.units(SMALL), members, 1)
    assert len(employers) == 120
    assert all(uscc.is_valid(employer.credit_code) for employer in employers)
    assert len({employer.credit_code for employer in employers}) == len(employers)
    for employer in employers:
        assert (
            max(employer.women, employer.migrant_workers, employer.dispatched_workers) <= employer.headcount
        )
        assert members[employer.organisation_code] <= employer.headcount
    assert sum(not employer.organisation_code for employer in employers) == 12
