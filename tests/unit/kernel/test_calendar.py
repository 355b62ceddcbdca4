from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.calendar import WorkingCalendar, read_exceptions, seeded_calendar

CALENDAR = seeded_calendar()
DAYS = st.dates(date(2024, 1, 1), date(2026, 12, 31))


@pytest.mark.parametrize(
    ("day", "works"),
    [
        ("2024-02-10", False),  # spring festival
        ("2024-02-18", True),  # a Sunday worked in its stead
        ("2025-01-26", True),
        ("2025-10-08", False),
        ("2025-10-11", True),
        ("2026-01-02", False),
        ("2026-01-04", True),
        ("2026-02-14", True),
        ("2026-02-23", False),
        ("2026-02-24", True),
        ("2026-05-09", True),
        ("2026-10-10", True),
        ("2026-11-21", False),  # a plain Saturday
        ("2026-11-20", True),
    ],
)
def test_known_days(day: str, works: bool) -> None:  # noqa: FBT001
    assert CALENDAR.is_workday(date.fromisoformat(day)) is works


@pytest.mark.parametrize(
    ("year", "holidays_on_weekdays", "worked_weekend_days"), [(2024, 19, 8), (2025, 18, 5), (2026, 19, 6)]
)
def test_the_seed_holds_whole_years(year: int, holidays_on_weekdays: int, worked_weekend_days: int) -> None:
    days = [date(year, 1, 1) + timedelta(offset) for offset in range(365 + (year % 4 == 0))]
    assert sum(day.weekday() < 5 and not CALENDAR.is_workday(day) for day in days) == holidays_on_weekdays
    assert sum(day.weekday() >= 5 and CALENDAR.is_workday(day) for day in days) == worked_weekend_days


def test_three_working_days_leap_over_the_national_day() -> None:
    assert CALENDAR.add_workdays(date(2026, 9, 29), 3) == date(2026, 10, 9)
    assert CALENDAR.add_workdays(date(2026, 9, 29), 4) == date(2026, 10, 10)  # a Saturday worked in its stead
    assert CALENDAR.add_workdays(date(2026, 9, 29), 0) == date(2026, 9, 29)


@given(DAYS, st.integers(0, 40))
def test_counting_back_gives_what_was_added(day: date, count: int) -> None:
    end = CALENDAR.add_workdays(day, count)
    assert CALENDAR.workdays_between(day, end) == count
    assert not count or CALENDAR.is_workday(end)


def test_no_day_lies_between_a_day_and_an_earlier_one() -> None:
    assert CALENDAR.workdays_between(date(2026, 3, 4), date(2026, 3, 2)) == 0


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        CALENDAR.add_workdays(date(2026, 3, 2), -1)


def test_an_unknown_year_has_only_weekends_and_says_so() -> None:
    assert CALENDAR.knows(2026)
    assert not CALENDAR.knows(2031)
    assert CALENDAR.is_workday(date(2031, 10, 1))
    assert not CALENDAR.is_workday(date(2031, 10, 4))


def test_an_officers_rows_count() -> None:
    calendar = WorkingCalendar(
        read_exceptions(["date,kind,name", "2031-10-01,holiday,国庆节", "2031-10-04,workday,国庆节"])
    )
    assert calendar.knows(2031)
    assert not calendar.is_workday(date(2031, 10, 1))
    assert calendar.is_workday(date(2031, 10, 4))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2031-02-30,holiday,x", "line 2: no date"),
        ("2031-10-01,maybe,x", "line 2: kind"),
        (",holiday,x", "line 2: no date"),
    ],
)
def test_a_bad_row_is_refused_by_its_line(row: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_exceptions(["date,kind,name", row])


def test_a_day_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="line 3: 2031-10-01 stands twice"):
        read_exceptions(["date,kind,name", "2031-10-01,holiday,x", "2031-10-01,workday,x"])
