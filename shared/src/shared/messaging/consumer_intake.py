"""What a consumer has read and not yet applied: decoded, in the order of each partition.

The client asks the broker for more only once all it had is taken. Whoever reads only between two batches therefore finds what
came right after the last one began, and the rest a batch later; so a consumer reads on while it applies.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from asyncpg.pgproto import pgproto

from shared.contracts.envelope import Received, UnreadableEvent, read_record

#: A record as the client gave it, and what it says: an event, or why it is none.
Read = tuple[Any, Received | UnreadableEvent]


def decode(records: Iterable[Any]) -> list[Read]:
    """Read records; the ids are the driver's UUIDs, made and bound in a tenth of the time of Python's own."""
    return [(record, _event(record)) for record in records]


def _event(record: Any) -> Received | UnreadableEvent:
    try:
        return read_record(
            record.topic, record.partition, record.offset, record.headers, record.value, pgproto.UUID
        )
    except UnreadableEvent as error:
        return error


class Intake:
    """Reads of partitions whose position is known; what comes from any other is from nowhere in particular."""

    def __init__(self) -> None:
        self.count = 0
        self._known: set[TopicPartition] = set()
        self._waiting: dict[TopicPartition, list[Read]] = {}

    def know(self, place: TopicPartition) -> None:
        """A partition was just sought to where the database stands: what comes of it now follows on that."""
        self._known.add(place)

    def forget(self, places: Iterable[TopicPartition]) -> None:
        """These partitions come or go: drop what was read of them, and whatever comes until they are known again."""
        for place in places:
            self._known.discard(place)
            self.count -= len(self._waiting.pop(place, ()))

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
        self._waiting.clear()
        self.count = 0

    def add(self, polled: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Take in what the client gave."""
        for place, records in polled.items():
            if place in self._known:
                self._waiting.setdefault(place, []).extend(decode(records))
                self.count += len(records)

    def take(self) -> dict[TopicPartition, list[Read]]:
        """All that waits."""
        taken, self._waiting, self.count = self._waiting, {}, 0
        return taken
