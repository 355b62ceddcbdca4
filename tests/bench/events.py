"""Events as the import of a roster publishes them, made beforehand: making them is not what is measured."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared.contracts.envelope import Event, Headers, Topic, event_headers
from shared.contracts.membership import EmploymentForm, Gender, MemberAdmitted, MemberState, MemberStatus
from shared.database.session import INSERT_OUTBOX, as_columns, outbox_row
from shared.kernel.ids import new_id
from shared.messaging.partitioning import partition_of
from shared.messaging.publication import publication

DAY = date(2026, 3, 2)
_ROWS_A_COMMIT = 1_000


def admissions(count: int, topic: Topic, units: Sequence[UUID] = ()) -> list[Event]:
    """The first event of each of `count` members, spread over `units`."""
    units = units or [new_id()]
    now = datetime.now(UTC)
    return [
        replace(_admission(new_id(), units[place % len(units)], place, now), topic=topic)
        for place in range(count)
    ]


def _admission(member_id: UUID, unit: UUID, place: int, at: datetime) -> Event:
    state = MemberState(
        member_id=member_id,
        organisation_id=unit,
        status=MemberStatus.ACTIVE,
        gender=(Gender.FEMALE, Gender.MALE)[place % 2],
        birth_year=1960 + place % 40,
        employment_form=EmploymentForm.CONTRACT,
        joined_on=DAY,
        left_on=None,
    )
    return publication(MemberAdmitted(on=DAY, state=state), member_id, 1, at)


async def fill_outbox(url: str, events: Sequence[Event]) -> None:
    """Write events as services do, in transactions of a thousand."""
    connection = await asyncpg.connect(url)
    for first in range(0, len(events), _ROWS_A_COMMIT):
        rows = [outbox_row(event) for event in events[first : first + _ROWS_A_COMMIT]]
        await connection.execute(INSERT_OUTBOX, *as_columns(rows))
    await connection.close()


#: Key, value, headers and partition of a record.
Record = tuple[bytes, bytes | None, Headers, int]


def records(events: Sequence[Event]) -> list[Record]:
    """The records that the relay makes of these events."""
    return [
        (
            str(event.subject).encode(),
            event.value(),
            event_headers(event),
            partition_of(str(event.subject).encode(), event.topic.partitions),
        )
        for event in events
    ]


async def publish(kafka: str, topic: Topic, found: Sequence[Record]) -> None:
    """Put records on a topic."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, max_batch_size=256 * 1024, linger_ms=5
    )
    await producer.start()
    for key, value, headers, partition in found:
        await producer.send(topic.name, value, key=key, headers=headers, partition=partition)
    await producer.stop()


async def count_published(kafka: str, topic: Topic) -> int:
    """How many records a topic holds."""
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await reader.start()
    try:
        ends = await reader.end_offsets(
            [TopicPartition(topic.name, place) for place in range(topic.partitions)]
        )
        return sum(ends.values())
    finally:
        await reader.stop()
