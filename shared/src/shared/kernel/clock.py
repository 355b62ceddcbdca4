"""Time is passed in, never read in the middle of a rule."""

from datetime import UTC, date, datetime, timedelta
from typing import Protocol

#: Calendar dates of the domain (day of joining, effective date) are dates in China, which has one time zone and no summer time.
CHINA_OFFSET = timedelta(hours=8)


class Clock(Protocol):
    """Whatever tells the time. The tests bring one that stands still."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""
        return datetime.now(UTC)


def china_date(moment: datetime) -> date:
    """The calendar date in China at `moment` (aware)."""
    return (moment.astimezone(UTC) + CHINA_OFFSET).date()
