"""Working days, from data: Monday to Friday, but for the days that the State Council's yearly notice names.

`holidays.csv` seeds the years whose notices are known (国务院办公厅关于部分节假日安排的通知, 2024 to 2026); an officer adds the
next year's rows when its notice comes, usually in November. In a year without rows only weekends are off: `knows` tells.
"""

import csv
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Final, Literal

DayKind = Literal["holiday", "workday"]

_SATURDAY: Final = 5
_DAY: Final = timedelta(days=1)


class WorkingCalendar:
    """Which calendar dates in China are working days."""

    def __init__(self, exceptions: Mapping[date, DayKind]) -> None:
        """`exceptions` names the days off and the weekend days that are worked instead."""
        self._exceptions = dict(exceptions)
        self._years = frozenset(day.year for day in exceptions)

    def knows(self, year: int) -> bool:
        """Whether the notice for `year` is in the data; without it a result there is provisional."""
        return year in self._years

    def is_workday(self, day: date) -> bool:
        """Whether offices work on `day`."""
        kind = self._exceptions.get(day)
        return kind == "workday" if kind else day.weekday() < _SATURDAY

    def add_workdays(self, day: date, count: int) -> date:
        """The `count`-th working day after `day` (count >= 0; 0 gives `day` itself, working day or not).

        A time limit in working days begins on the day after the event (Civil Code of the PRC, art. 201).
        """
        if count < 0:
            raise ValueError("count must not be negative")
        while count:
            day += _DAY
            count -= self.is_workday(day)
        return day

    def workdays_between(self, start: date, end: date) -> int:
        """How many working days lie after `start` up to and including `end`; 0 if `end` is not after `start`."""
        return sum(self.is_workday(start + _DAY * offset) for offset in range(1, (end - start).days + 1))


def read_exceptions(lines: Iterable[str]) -> dict[date, DayKind]:
    """Read CSV with the columns date, kind ("holiday" or "workday") and name. Raises ValueError naming the line."""
    exceptions: dict[date, DayKind] = {}
    reader = csv.DictReader(lines)
    for row in reader:
        try:
            day = date.fromisoformat(row["date"])
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"line {reader.line_num}: no date") from None
        if day in exceptions:
            raise ValueError(f"line {reader.line_num}: {day} stands twice")
        match row["kind"]:
            case "holiday":
                exceptions[day] = "holiday"
            case "workday":
                exceptions[day] = "workday"
            case _:
                raise ValueError(f"line {reader.line_num}: kind must be holiday or workday")
    return exceptions


@cache
def seeded_calendar() -> WorkingCalendar:
    """The calendar of the years that are known when this version is published."""
    text = (files("shared.kernel") / "holidays.csv").read_text("utf-8")
    return WorkingCalendar(read_exceptions(text.splitlines()))
