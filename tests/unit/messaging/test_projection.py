from datetime import UTC, datetime
from random import Random
from uuid import UUID, uuid4

from shared.contracts.envelope import Received
from shared.kernel.ids import new_id
from shared.messaging.projection import newest_wins

SUBJECTS = [new_id() for _ in range(5)]


def received(subject: UUID, sequence: int, topic: str = "a") -> Received:
    return Received(
        topic, 0, 0, uuid4(), "t", "/s", subject, sequence, datetime(2026, 1, 1, tzinfo=UTC), None
    )


def test_any_order_and_any_repetition_gives_the_newest_of_each() -> None:
    events = [received(subject, sequence) for subject in SUBJECTS for sequence in (1, 2, 3)] * 2
    for seed in range(20):
        Random(seed).shuffle(events)
        found = newest_wins(events)
        assert [event.sequence for event in found] == [3] * 5
        assert [event.subject for event in found] == sorted(SUBJECTS)


def test_the_same_id_in_another_topic_is_another_aggregate() -> None:
    assert len(newest_wins([received(SUBJECTS[0], 1, "a"), received(SUBJECTS[0], 1, "b")])) == 2
