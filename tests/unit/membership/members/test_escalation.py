from datetime import UTC, date, datetime

import pytest

from membership_service.members.jobs import answered_until
from shared.kernel.calendar import WorkingCalendar


@pytest.mark.parametrize(
    ("today", "until"),
    [
        # Applied on Monday 16 March 2026, due by Thursday 19, late on Friday 20.
        (date(2026, 3, 19), date(2026, 3, 15)),
        (date(2026, 3, 20), date(2026, 3, 16)),
        # A weekend gives time: from Wednesday to Monday.
        (date(2026, 3, 23), date(2026, 3, 17)),
        (date(2026, 3, 24), date(2026, 3, 18)),
    ],
)
def test_three_working_days_to_answer(today: date, until: date) -> None:
    limit = answered_until(today, WorkingCalendar({}))
    assert limit == datetime(until.year, until.month, until.day, 16, tzinfo=UTC)


def test_a_holiday_gives_time_too() -> None:
    calendar = WorkingCalendar({date(2026, 3, 18): "holiday"})
    assert answered_until(date(2026, 3, 20), calendar) == datetime(2026, 3, 15, 16, tzinfo=UTC)
