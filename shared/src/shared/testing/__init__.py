"""The pytest plugin: real servers, fresh databases, a clock, waiting with a deadline, crash points."""

from shared.database.provision import DatabaseUrls
from shared.testing.clock import StoppedClock
from shared.testing.waiting import Eventually, eventually

__all__ = ["DatabaseUrls", "Eventually", "StoppedClock", "eventually"]
