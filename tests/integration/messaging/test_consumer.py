"""Consumers against real Kafka and PostgreSQL: every event takes effect once, in order, whatever fails around it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from shared.contracts.envelope import Received, Topic
from shared.database.scope import Scope
from shared.database.session import WriteSession, driver
from shared.kernel.clock import SystemClock
from shared.kernel.ids import new_id
from shared.messaging.consumer import Consumer
from shared.messaging.consumer_apply import Applier
from shared.messaging.consumer_intake import decode
from shared.messaging.consumer_offsets import Fenced, Move
from shared.messaging.freshness import as_of
from shared.messaging.relay import Relay
from shared.messaging.topics import ensure_topics
from shared.testing import Eventually
from tests.integration.messaging.conftest import Bench
from tests.integration.messaging.consuming import (
    act,
    consumer_of,
    count,
    producing,
    remember,
    rows,
    sequences,
)
from tests.support.scratch import noted


async def test_a_view_follows_and_goes_on_where_it_ended(bench: Bench, eventually: Eventually) -> None:
    subjects = [new_id() for _ in range(20)]
    async with producing(bench) as send:
        await send(
            *(
                noted(bench.topic, subject, version, f"v{version}")
                for subject in subjects
                for version in (1, 2)
            )
        )
        end = bench.start(consumer_of(bench, remember))
        await eventually(lambda: rows(bench, "SELECT 1 FROM seen HAVING count(*) = 20 AND min(sequence) = 2"))
        await end()
        before = await rows(bench, "SELECT sum(next_offset) FROM consumer_offsets")
        assert before[0][0] == 40
        await send(replace(noted(bench.topic, subjects[0], 3), data=None))
        handled: list[Received] = []

        async def spy(session: WriteSession, events: Sequence[Received]) -> None:
            handled.extend(events)
            await remember(session, events)

        bench.start(consumer_of(bench, spy))
        await eventually(lambda: rows(bench, "SELECT 1 FROM seen WHERE sequence = 3 AND note IS NULL"))
    assert len(handled) == 1
    assert handled[0].data is None


async def test_an_effect_happens_once_though_its_event_comes_twice(
    bench: Bench, eventually: Eventually
) -> None:
    subject = new_id()
    events = [noted(bench.topic, subject, version) for version in (1, 2, 3)]
    async with producing(bench) as send:
        await send(*events[:2], *events)
        end = bench.start(consumer_of(bench, act, "effects"))
        await eventually(lambda: rows(bench, "SELECT 1 FROM consumer_offsets HAVING sum(next_offset) = 5"))
        await end()
        await send(*events)
        bench.start(consumer_of(bench, act, "effects"))
        await eventually(lambda: rows(bench, "SELECT 1 FROM consumer_offsets HAVING sum(next_offset) = 8"))
    assert await sequences(bench, subject) == [1, 2, 3]


async def test_what_was_read_from_an_old_position_is_not_applied(
    bench: Bench, eventually: Eventually
) -> None:
    async with producing(bench) as send:
        await send(*(noted(bench.topic, new_id(), 1) for _ in range(10)))
    end = bench.start(consumer_of(bench, act, "projection"))
    await eventually(lambda: rows(bench, "SELECT 1 FROM consumer_offsets HAVING sum(next_offset) = 10"))
    await end()
    # A zombie: it read the same records before somebody else applied them, and only now comes to its transaction.
    zombie = Applier(f"{bench.service}.view", act, "projection", bench.worker, SystemClock(), lambda _: None)
    records = [
        FakeRecord(bench.topic.name, event.partition, event.offset, str(event.subject).encode(), event)
        for event in await bench.published()
    ]
    zombie.positions.update({TopicPartition(record.topic, record.partition): 0 for record in records})
    with pytest.raises(Fenced):
        await zombie.apply(decode(records), asyncio.Event())
    assert await count(bench, "effects") == 10


class FakeRecord:
    """A record as the client gives it."""

    def __init__(self, topic: str, partition: int, offset: int, key: bytes, event: Received) -> None:
        self.topic, self.partition, self.offset, self.key = topic, partition, offset, key
        self.value = b'{"note":""}'
        self.timestamp = 0
        self.headers = [
            ("ce_id", str(event.id).encode()),
            ("ce_type", event.type.encode()),
            ("ce_source", event.source.encode()),
            ("ce_subject", str(event.subject).encode()),
            ("ce_time", event.time.isoformat().encode()),
            ("ce_sequence", str(event.sequence).encode()),
        ]


class Unfenced(Applier):
    """Planted: offsets that are moved whatever they were."""

    async def _move(self, connection: asyncpg.Connection, moves: Sequence[Move]) -> None:
        for step in moves:
            await connection.execute(
                "UPDATE consumer_offsets SET next_offset = $1 WHERE topic = $2 AND partition = $3",
                step.next,
                step.place.topic,
                step.place.partition,
            )


async def test_a_planted_consumer_without_a_fence_applies_twice(bench: Bench, eventually: Eventually) -> None:
    async with producing(bench) as send:
        await send(noted(bench.topic, new_id(), 1))
    end = bench.start(consumer_of(bench, act, "projection"))
    await eventually(lambda: rows(bench, "SELECT 1 FROM effects"))
    await end()
    zombie = Unfenced(f"{bench.service}.view", act, "projection", bench.worker, SystemClock(), lambda _: None)
    (event,) = await bench.published()
    record = FakeRecord(bench.topic.name, event.partition, event.offset, b"", event)
    zombie.positions[TopicPartition(record.topic, record.partition)] = 0
    await zombie.apply(decode([record]), asyncio.Event())
    assert await count(bench, "effects") == 2


async def test_a_lost_database_is_waited_for_and_nothing_is_given_up(
    bench: Bench, eventually: Eventually, postgres_url: str
) -> None:
    working = asyncio.Event()

    async def slow(session: WriteSession, events: Sequence[Received]) -> None:
        await act(session, events)
        working.set()
        await asyncio.sleep(0.3)
        await (await driver(session)).execute("SELECT 1")

    consumer = consumer_of(bench, slow, "effects")
    async with producing(bench) as send:
        await send(noted(bench.topic, new_id(), 1))
        bench.start(consumer)
        superuser = await asyncpg.connect(postgres_url)
        for _ in range(3):
            await asyncio.wait_for(working.wait(), 15)
            working.clear()
            await superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'unionhall_scratch_worker' AND datname = $1",
                bench.urls.worker.rpartition("/")[2],
            )
            await eventually(
                lambda: [reason.code for reason in consumer.reasons()] == ["consumer-database-down"]
            )
        await superuser.close()
        await eventually(lambda: not consumer.reasons())
    assert await count(bench, "effects") == 1
    assert await count(bench, "dead_letters") == 0


async def test_a_new_effects_consumer_begins_at_the_end_of_the_log(
    bench: Bench, eventually: Eventually
) -> None:
    async with producing(bench) as send:
        await send(*(noted(bench.topic, new_id(), 1) for _ in range(10)))
        bench.start(consumer_of(bench, act, "effects", start="latest"))
        await eventually(
            lambda: rows(bench, "SELECT 1 FROM consumer_offsets HAVING sum(started_at_offset) = 10")
        )
        later = noted(bench.topic, new_id(), 1)
        await send(later)
        await eventually(lambda: rows(bench, "SELECT 1 FROM effects"))
    assert await sequences(bench, later.subject) == [1]
    assert await count(bench, "effects") == 1


async def test_events_older_than_the_inbox_have_no_effect(bench: Bench, eventually: Eventually) -> None:
    fresh = noted(bench.topic, new_id(), 1)
    old = replace(noted(bench.topic, new_id(), 1), time=fresh.time - timedelta(days=91))
    async with producing(bench) as send:
        await send(old, fresh)
        bench.start(consumer_of(bench, act, "effects"))
        await eventually(lambda: rows(bench, "SELECT 1 FROM consumer_offsets HAVING sum(next_offset) = 2"))
    assert await sequences(bench, fresh.subject) == [1]
    assert await sequences(bench, old.subject) == []


async def test_collisions_are_tried_again_and_never_given_up(bench: Bench, eventually: Eventually) -> None:
    tries = 0

    async def colliding(session: WriteSession, events: Sequence[Received]) -> None:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise asyncpg.DeadlockDetectedError("planted")
        await act(session, events)

    async with producing(bench) as send:
        await send(*(noted(bench.topic, new_id(), 1) for _ in range(10)))
        bench.start(consumer_of(bench, colliding, "effects"))
        await eventually(lambda: rows(bench, "SELECT 1 FROM effects HAVING count(*) = 10"))
    assert await count(bench, "dead_letters") == 0


async def test_members_of_a_group_share_the_work_and_hand_it_over(
    bench: Bench, eventually: Eventually
) -> None:
    subjects = [new_id() for _ in range(60)]
    async with producing(bench) as send:
        ends = [bench.start(consumer_of(bench, act, "effects", batch=5, lanes=2)) for _ in range(2)]
        for version in (1, 2, 3):
            await send(*(noted(bench.topic, subject, version) for subject in subjects))
            if version == 2:
                await ends[0]()
        await eventually(lambda: rows(bench, "SELECT 1 FROM effects HAVING count(*) = 180"), timeout=25)
    for subject in subjects:
        assert await sequences(bench, subject) == [1, 2, 3]


async def test_a_missing_topic_is_told_and_waited_for(
    bench: Bench, eventually: Eventually, unique: str
) -> None:
    topic = Topic(f"unionhall.late{unique}.things.v1", partitions=1)
    consumer = Consumer(f"{bench.service}.late", [topic], remember, "projection", bench.worker, bench.kafka)
    bench.start(consumer)
    await eventually(lambda: [reason.code for reason in consumer.reasons()] == ["consumer-topics-missing"])
    await ensure_topics(bench.kafka, [topic])
    await eventually(lambda: rows(bench, "SELECT 1 FROM consumer_offsets"))
    await eventually(lambda: not consumer.reasons())


async def test_a_view_is_as_fresh_as_what_it_has_applied(bench: Bench, eventually: Eventually) -> None:
    name = f"{bench.service}.view"
    relay = Relay(bench.urls.worker, bench.kafka, bench.service, topics=[bench.topic], takeover_wait=0.0)
    end_relay = bench.start(relay)
    end_consumer = bench.start(consumer_of(bench, remember))

    async def fresh() -> Any:
        async with bench.worker.read(Scope.everything()) as session:
            return await as_of(session, name, bench.topic)

    # Nothing was ever published, and the view knows that it misses nothing.
    first = await eventually(fresh)
    await end_consumer()
    event = noted(bench.topic, new_id(), 1)
    await bench.commit(event)
    await asyncio.sleep(6)
    assert await fresh() == first
    bench.start(consumer_of(bench, remember))

    async def fresher() -> Any:
        return (await fresh()) > first

    await eventually(fresher)
    assert await rows(bench, "SELECT 1 FROM seen WHERE subject = $1", event.subject)
    await end_relay()
