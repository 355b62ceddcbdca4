"""Consumers against real Kafka and PostgreSQL: every event takes effect once, in order, whatever fails around it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from shared.contracts.envelope import Event, Received, Topic, event_headers
from shared.database.scope import Scope
from shared.database.session import WriteSession, driver
from shared.kernel.clock import SystemClock
from shared.kernel.ids import new_id
from shared.messaging.consumer import Consumer
from shared.messaging.consumer_apply import Applier, Handler, Mode
from shared.messaging.consumer_offsets import Fenced, Move
from shared.messaging.dead_letters import list_dead_letters, redrive, show_dead_letter
from shared.messaging.freshness import as_of
from shared.messaging.projection import newest_wins
from shared.messaging.relay import Relay
from shared.messaging.topics import dead_letter_topic, ensure_topics
from shared.testing import Eventually
from tests.integration.messaging.conftest import Bench
from tests.support.scratch import noted


async def remember(session: WriteSession, events: Sequence[Received]) -> None:
    """A state projection."""
    connection = await driver(session)
    newest = newest_wins(events)
    await connection.execute(
        """
        INSERT INTO seen AS known (subject, sequence, note)
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[])
        ON CONFLICT (subject) DO UPDATE SET sequence = excluded.sequence, note = excluded.note
        WHERE known.sequence < excluded.sequence
        """,
        [event.subject for event in newest],
        [event.sequence for event in newest],
        [None if event.data is None else event.data["note"] for event in newest],
    )


async def act(session: WriteSession, events: Sequence[Received]) -> None:
    """An effect; notes that say "poison" cannot be handled, as long as the table `cured` does not exist."""
    connection = await driver(session)
    cured = await connection.fetchval("SELECT to_regclass('cured') IS NOT NULL")
    if not cured and any(event.data and event.data["note"] == "poison" for event in events):
        raise ValueError("cannot handle 13912345678")
    await connection.executemany(
        "INSERT INTO effects (subject, sequence, note) VALUES ($1, $2, $3)",
        [(event.subject, event.sequence, event.data and event.data["note"]) for event in events],
    )


@asynccontextmanager
async def producing(bench: Bench) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Send events (or raw values) straight to the topic."""
    producer = AIOKafkaProducer(bootstrap_servers=bench.kafka)
    await producer.start()

    async def send(*events: Event, value: bytes | None = None, headers: Any = None) -> None:
        for event in events:
            await producer.send_and_wait(
                bench.topic.name,
                key=str(event.subject).encode(),
                value=event.value() if value is None else value,
                headers=event_headers(event) if headers is None else headers,
            )

    try:
        yield send
    finally:
        await producer.stop()


def consumer_of(bench: Bench, handler: Handler, mode: Mode = "projection", **options: Any) -> Consumer:
    name = options.pop("name", f"{bench.service}.view")
    return Consumer(name, [bench.topic], handler, mode, bench.worker, bench.kafka, **options)


async def rows(bench: Bench, query: str, *arguments: Any) -> list[asyncpg.Record]:
    async with bench.worker.driver() as connection:
        found: list[asyncpg.Record] = await connection.fetch(query, *arguments)
        return found


async def count(bench: Bench, table: str) -> int:
    return len(await rows(bench, f"SELECT 1 FROM {table}"))


async def sequences(bench: Bench, subject: UUID) -> list[int]:
    found = await rows(bench, "SELECT sequence FROM effects WHERE subject = $1 ORDER BY position", subject)
    return [row["sequence"] for row in found]


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


async def test_a_poison_event_parks_its_key_and_is_redriven_in_order(
    bench: Bench, eventually: Eventually
) -> None:
    sick, well = new_id(), [new_id() for _ in range(30)]
    async with producing(bench) as send:
        await send(
            noted(bench.topic, sick, 1), noted(bench.topic, sick, 2, "poison"), noted(bench.topic, sick, 3)
        )
        await send(*(noted(bench.topic, subject, 1) for subject in well))
        bench.start(consumer_of(bench, act, "effects"))
        await eventually(lambda: rows(bench, "SELECT 1 FROM consumer_offsets HAVING sum(next_offset) = 33"))
        await send(noted(bench.topic, sick, 4))
        await eventually(lambda: rows(bench, "SELECT 1 FROM dead_letters HAVING count(*) = 3"))
        assert await sequences(bench, sick) == [1]
        assert await count(bench, "effects") == 31
        async with bench.worker.read(Scope.everything()) as session:
            dead = await list_dead_letters(session)
            parked = await list_dead_letters(session, state="parked")
            letter = await show_dead_letter(session, dead[0]["id"])
        assert len(dead) == 1
        assert len(parked) == 2
        assert letter is not None
        assert letter["tries"] == 3
        assert letter["value"] == '{"note":"poison"}'
        # The cause is kept, what it quoted is not.
        assert letter["cause"] == "ValueError: cannot handle [redacted]"
        assert "act" in letter["stack"][-1]
        mirror = await rows(
            bench, "SELECT payload FROM outbox WHERE topic = $1", dead_letter_topic(letter["consumer"]).name
        )
        assert len(mirror) == 1
        assert b"poison" not in mirror[0]["payload"]
        # Asked too early it dies again, and nothing overtakes it.
        await ask_redrive(bench)
        await eventually(lambda: rows(bench, "SELECT 1 FROM dead_letters WHERE tries = 4"))
        assert await sequences(bench, sick) == [1]
        async with bench.owner() as owner:
            await owner.execute("CREATE TABLE cured ()")
        assert await ask_redrive(bench) == 1
        await eventually(
            lambda: rows(bench, "SELECT 1 FROM dead_letters HAVING bool_and(state = 'redriven')")
        )
        await send(noted(bench.topic, sick, 5))
        await eventually(lambda: rows(bench, "SELECT 1 FROM effects WHERE sequence = 5"))
    assert await sequences(bench, sick) == [1, 2, 3, 4, 5]


async def ask_redrive(bench: Bench) -> int:
    async with bench.app.write(Scope.nothing()) as session:
        asked = await redrive(session, consumer=f"{bench.service}.view", now=SystemClock().now())
        await session.commit()
        return asked


@pytest.mark.parametrize(
    ("value", "headers"),
    [(b"{", None), (b"[]", None), (b"{}", []), (b"{}", [("ce_id", b"nonsense")]), (b"x" * 900_000, None)],
    ids=["half", "list", "bare", "malformed", "huge"],
)
async def test_an_unreadable_record_is_a_dead_letter_and_the_rest_goes_on(
    bench: Bench, eventually: Eventually, value: bytes, headers: list[tuple[str, bytes]] | None
) -> None:
    async with producing(bench) as send:
        await send(noted(bench.topic, new_id(), 1), value=value, headers=headers)
        after = noted(bench.topic, new_id(), 1)
        await send(after)
        bench.start(consumer_of(bench, remember))
        await eventually(lambda: rows(bench, "SELECT 1 FROM seen WHERE subject = $1", after.subject))
        letters = await eventually(lambda: rows(bench, "SELECT state, cause, value FROM dead_letters"))
    assert [letter["state"] for letter in letters] == ["dead"]
    assert letters[0]["cause"].startswith("UnreadableEvent")
    assert letters[0]["value"] == value


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
        await zombie.apply(records, asyncio.Event())
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
    await zombie.apply([record], asyncio.Event())
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
