"""What a consumer reads ahead: only what follows on a known position, and nothing of a partition that went away meanwhile."""

from dataclasses import dataclass, field

from aiokafka import TopicPartition

from shared.contracts.envelope import Headers, Received, Topic, UnreadableEvent, event_headers
from shared.kernel.ids import new_id
from shared.messaging.consumer_intake import Intake, decode
from tests.support.scratch import noted

TOPIC = Topic("unionhall.scratch.things.v1", partitions=2)
FIRST, SECOND = (TopicPartition(TOPIC.name, partition) for partition in (0, 1))


@dataclass
class Record:
    """As the client gives it."""

    partition: int
    offset: int
    topic: str = TOPIC.name
    headers: Headers = field(default_factory=lambda: event_headers(noted(TOPIC, new_id(), 1)))
    value: bytes = b'{"note":"x"}'


def test_reads_of_a_known_partition_wait_in_order() -> None:
    intake = Intake()
    intake.know(FIRST)
    intake.add({FIRST: [Record(0, 4), Record(0, 7)]})
    intake.add({FIRST: [Record(0, 8)]})
    assert intake.count == 3
    taken = intake.take()
    assert [record.offset for record, _ in taken[FIRST]] == [4, 7, 8]
    assert (intake.count, intake.take()) == (0, {})


def test_reads_of_a_partition_that_was_not_sought_are_dropped() -> None:
    intake = Intake()
    intake.know(FIRST)
    intake.add({FIRST: [Record(0, 4)], SECOND: [Record(1, 9)]})
    assert (intake.count, set(intake.take())) == (1, {FIRST})


def test_a_partition_that_goes_takes_what_was_read_ahead_with_it() -> None:
    intake = Intake()
    for place in (FIRST, SECOND):
        intake.know(place)
    intake.add({FIRST: [Record(0, 4)], SECOND: [Record(1, 9), Record(1, 10)]})
    intake.forget([SECOND])
    # Given back, it is read from where the client thinks it stands until it is sought anew.
    intake.add({SECOND: [Record(1, 11)]})
    assert (intake.count, set(intake.take())) == (1, {FIRST})
    intake.know(SECOND)
    intake.add({SECOND: [Record(1, 9)]})
    assert [record.offset for record, _ in intake.take()[SECOND]] == [9]


def test_a_record_that_is_no_event_says_why() -> None:
    (_, good), (_, bad) = decode([Record(0, 1), Record(0, 2, headers=[])])
    assert isinstance(good, Received)
    assert isinstance(bad, UnreadableEvent)
