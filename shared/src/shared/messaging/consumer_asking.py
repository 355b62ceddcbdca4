"""Which partitions the client asks the broker about, and when.

A request names every partition that is asked about, and so does its answer: a topic of 32 costs the client a millisecond and the
broker another, as much as applying ten events. So nothing is asked while a batch is applied (the answer would come with the first
event after it, and the others would wait for the batch after the next), and right after it only what gave something lately.
Everything is asked about ten times a second, and whenever nothing is going on.
"""

import time
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer

#: Seconds for which a topic that gave something is taken for busy; seconds between questions about all.
BUSY_FOR = 1.0
ALL_EVERY = 0.1


class Asking:
    """The questions of one client."""

    def __init__(self) -> None:
        self._busy_until: dict[str, float] = {}
        self._all_due = 0.0

    def heard(self, topics: Iterable[str]) -> None:
        """These topics gave something."""
        until = time.monotonic() + BUSY_FOR
        self._busy_until.update(dict.fromkeys(topics, until))

    def hold(self, kafka: AIOKafkaConsumer) -> None:
        """Ask nothing until `go_on`. What was asked already is still answered."""
        kafka.pause(*kafka.assignment())

    def go_on(self, kafka: AIOKafkaConsumer) -> None:
        """Ask about busy topics, and about all when that is due or nothing is busy."""
        held = kafka.paused()
        if not held:
            return
        now = time.monotonic()
        busy = {place for place in held if self._busy_until.get(place.topic, 0.0) > now}
        if not busy or now >= self._all_due:
            self._all_due = now + ALL_EVERY
            busy = held
        kafka.resume(*busy)
