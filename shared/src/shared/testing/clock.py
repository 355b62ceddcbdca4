"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta

#: A Monday morning in China, far from any new year, leap day or end of a month.
START = datetime(2026, 3, 16, 1, 30, tzinfo=UTC)


class StoppedClock:
    """A `shared.kernel.clock.Clock` for tests."""

    def __init__(self, moment: datetime = START) -> None:
        self._moment = moment

    def now(self) -> datetime:
        """The moment at which it stands, aware, in UTC."""
        return self._moment

    def advance(self, step: timedelta) -> datetime:
        """Move on by `step`; gives the new moment."""
        self._moment += step
        return self._moment

    def set(self, moment: datetime) -> None:
        """Jump to an aware moment."""
        self._moment = moment.astimezone(UTC)
