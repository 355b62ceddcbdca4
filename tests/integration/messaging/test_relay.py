"""The relay against real PostgreSQL and Kafka: nothing lost, each key in order, and the pitfalls of others."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.database.scope import Scope
from shared.database.session import driver, outbox_row
from shared.kernel.ids import new_id
from shared.messaging import relay as relay_module
from shared.messaging import relay_source
from shared.messaging.outbox import outbox_status
from shared.messaging.relay import Relay
from shared.messaging.relay_sender import Sender, SendFailed, Sent
from shared.messaging.relay_source import SESSION_SETTINGS, Look, OutboxSource, Progress
from shared.testing import Eventually
from tests.integration.messaging.conftest import Bench, inversions
from tests.support.scratch import noted

INSERT = """
    INSERT INTO outbox (event_id, topic, key, type, sequence, source, time, payload, traceparent)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


def relay_of(bench: Bench, kind: type[Relay] = Relay, **options: Any) -> Relay:
    options = {"takeover_wait": 0.3, **options}
    return kind(bench.urls.worker, bench.kafka, bench.service, topics=[bench.topic], **options)


async def all_sent(bench: Bench) -> bool:
    async with bench.app.read(Scope.nothing()) as session:
        return (await outbox_status(session)).backlog == 0


async def test_events_arrive_as_the_contract_says(bench: Bench, eventually: Eventually) -> None:
    first = noted(bench.topic, new_id(), 1, "hello")
    second = noted(bench.topic, first.subject, 2)
    erased = replace(noted(bench.topic, first.subject, 3), data=None)
    await bench.commit(first, second)
    await bench.commit(erased)
    bench.start(relay_of(bench))
    await eventually(lambda: all_sent(bench))
    arrived = await bench.published()
    assert [event.id for event in arrived] == [first.id, second.id, erased.id]
    assert arrived[0].data == {"note": "hello"}
    assert arrived[0].time == first.time
    assert arrived[2].data is None
    reader = AIOKafkaConsumer(bootstrap_servers=bench.kafka)
    await reader.start()
    place = TopicPartition(bench.topic.name, arrived[0].partition)
    reader.assign([place])
    reader.seek(place, arrived[0].offset)
    record = await reader.getone()
    await reader.stop()
    assert record.key == str(first.subject).encode()
    headers = dict(record.headers)
    assert headers["ce_sequence"] == b"0000000000000000001"
    assert headers["content-type"] == b"application/json"
    assert headers["ce_specversion"] == b"1.0"


async def write_versions(bench: Bench, subjects: dict[UUID, int], seconds: float, rng: random.Random) -> int:
    """16 writers: lock an aggregate, perhaps dawdle, write its next version; how many they wrote."""
    until = asyncio.get_running_loop().time() + seconds
    locks = {subject: asyncio.Lock() for subject in subjects}
    written = 0

    async def writer() -> None:
        nonlocal written
        while asyncio.get_running_loop().time() < until:
            subject = rng.choice(list(subjects))
            # Stands for the row lock of the aggregate.
            async with locks[subject], bench.app.write(Scope.nothing()) as session:
                if rng.random() < 0.3:
                    await driver(session)
                    await session.connection()
                    # The transaction id is taken long before the outbox row is written.
                    await (await driver(session)).execute("SELECT pg_current_xact_id()")
                    await asyncio.sleep(rng.random() * 0.05)
                subjects[subject] += 1
                session.emit(noted(bench.topic, subject, subjects[subject]))
                await session.flush_events()
                if rng.random() < 0.3:
                    await asyncio.sleep(rng.random() * 0.05)
                await session.commit()
                written += 1

    await asyncio.gather(*(writer() for _ in range(16)))
    return written


async def test_slow_writers_lose_nothing_and_keep_the_order_of_each_key(
    bench: Bench, eventually: Eventually
) -> None:
    bench.start(relay_of(bench, page=20))
    subjects = {new_id(): 0 for _ in range(40)}
    written = await write_versions(bench, subjects, 3.0, random.Random(7))
    await eventually(lambda: all_sent(bench))
    arrived = await bench.published()
    assert len({event.id for event in arrived}) == written > 50
    assert inversions(arrived) == 0


class CursorSource(OutboxSource):
    """The obvious way, planted: everything above the last id that was seen."""

    async def look(self, progress: Progress, limit: int) -> Look:
        look = await super().look(progress, limit)
        return replace(look, rows=await self.page(progress, 0, limit)) if look.rows else look

    async def page(self, _: Progress, after: int, limit: int) -> list[asyncpg.Record]:
        self._seen = max(getattr(self, "_seen", 0), after)
        rows: list[asyncpg.Record] = await self.everything(self._seen, limit)
        self._seen = rows[-1]["id"] if rows else self._seen
        return rows


async def test_a_planted_cursor_on_ids_loses_events(
    bench: Bench, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "OutboxSource", CursorSource)
    bench.start(relay_of(bench, page=20))
    subjects = {new_id(): 0 for _ in range(40)}
    written = await write_versions(bench, subjects, 2.0, random.Random(7))
    await eventually(lambda: all_sent(bench))
    assert len({event.id for event in await bench.published()}) < written


async def test_a_transaction_held_open_stalls_nobody_and_is_sent_in_the_end(
    bench: Bench, eventually: Eventually
) -> None:
    bench.start(relay_of(bench))
    held = noted(bench.topic, new_id(), 1, "held")
    connection = await asyncpg.connect(bench.urls.app)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(INSERT, *outbox_row(held))
    others = [noted(bench.topic, new_id(), 1) for _ in range(50)]
    for event in others:
        await bench.commit(event)
    await eventually(lambda: all_sent(bench))
    assert {event.id for event in await bench.published()} == {event.id for event in others}
    await transaction.commit()
    await connection.close()
    await eventually(lambda: all_sent(bench))
    arrived = await bench.published()
    assert [event.id for event in arrived].count(held.id) == 1
    assert len(arrived) == 51


async def source_on(url: str) -> tuple[asyncpg.Connection, OutboxSource]:
    connection = await asyncpg.connect(url, server_settings=SESSION_SETTINGS)
    return connection, OutboxSource(connection, new_id())


async def test_a_slot_is_emptied_only_when_all_its_rows_are_sent(bench: Bench) -> None:
    reading, source = await source_on(bench.urls.worker)
    writing = await asyncpg.connect(bench.urls.app)
    current = await reading.fetchval("SELECT extract(epoch FROM now())::bigint / 60 % 4")
    old = (current + 2) % 4
    insert = INSERT.replace("(event_id,", "(slot, event_id,", 1).replace("VALUES (", f"VALUES ({old}, ")
    early, late = noted(bench.topic, new_id(), 1), noted(bench.topic, new_id(), 1)
    await writing.execute(insert, *outbox_row(early))
    before = Progress((await source.look(Progress("1:1:"), 1)).target)
    slow = writing.transaction()
    await slow.start()
    await writing.execute(insert, *outbox_row(late))
    # A slow writer holds the slot: it is left alone, and nobody waits for it.
    assert await source.rotate(before) == []
    await slow.commit()
    # Its row came after the snapshot up to which all is sent.
    assert await source.rotate(before) == []
    assert await reading.fetchval("SELECT count(*) FROM outbox") == 2
    after = Progress((await source.look(before, 1)).target)
    assert await source.rotate(after) == [old]
    assert await reading.fetchval("SELECT count(*) FROM outbox") == 0
    await reading.close()
    await writing.close()


async def test_reading_uses_indexes_whatever_the_statistics_say(bench: Bench) -> None:
    async with bench.owner() as owner:
        await owner.execute("""
            INSERT INTO outbox (event_id, topic, key, type, sequence, source, payload)
            SELECT uuidv7(), 't', uuidv7(), 'x', 1, '/s', '' FROM generate_series(1, 5000)
        """)
        await owner.execute("ANALYZE outbox")
        await owner.execute("TRUNCATE outbox")
    reading, _ = await source_on(bench.urls.worker)
    plans = []
    for query, arguments in (
        (relay_source._LOOK, ["1:1:", 100]),
        (relay_source._PAGE, ["1:1:", "900000:900000:", 0, 100]),
    ):
        # As the connection will run it for ever: with the generic plan.
        await reading.execute("SET plan_cache_mode = force_generic_plan")
        rows = await reading.fetch(f"EXPLAIN {query}", *arguments)
        plans.append("\n".join(row[0] for row in rows))
    await reading.close()
    for plan in plans:
        assert "Seq Scan" not in plan, plan
    look, page = plans
    # What is new is sorted, and nothing else: it is found by its transactions.
    assert "outbox_0_xid_id_idx" in look, look
    assert "pkey" not in look, look
    assert "Sort  (" not in page, page


async def leader_process(bench: Bench) -> int | None:
    async with bench.owner() as owner:
        found: int | None = await owner.fetchval(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return found


async def test_when_the_leader_loses_its_connection_another_takes_over(
    bench: Bench, eventually: Eventually, postgres_url: str
) -> None:
    relays = [relay_of(bench), relay_of(bench)]
    for relay in relays:
        bench.start(relay)
    await eventually(lambda: sum(relay.leading for relay in relays) == 1)
    events = [noted(bench.topic, new_id(), 1) for _ in range(20)]
    await bench.commit(*events[:10])
    superuser = await asyncpg.connect(postgres_url)
    before = await leader_process(bench)
    await superuser.execute("SELECT pg_terminate_backend($1)", before)
    await superuser.close()
    await bench.commit(*events[10:])
    await eventually(lambda: sum(relay.leading for relay in relays) == 1)
    assert await leader_process(bench) != before
    await eventually(lambda: all_sent(bench))
    assert {event.id for event in await bench.published()} == {event.id for event in events}


@pytest.mark.parametrize("clean", [True, False])
async def test_a_new_leader_waits_only_for_one_that_did_not_sign_off(
    bench: Bench, eventually: Eventually, *, clean: bool
) -> None:
    async with bench.owner() as owner:
        await owner.execute("UPDATE relay_progress SET leader = $1", None if clean else new_id())
    await bench.commit(noted(bench.topic, new_id(), 1))
    bench.start(relay_of(bench, takeover_wait=1.5))
    await asyncio.sleep(1.0)
    assert await all_sent(bench) is clean
    await eventually(lambda: all_sent(bench))


async def test_after_a_restore_from_a_dump_all_is_sent_once_and_the_outbox_begins_anew(
    bench: Bench, eventually: Eventually
) -> None:
    events = [noted(bench.topic, new_id(), 1) for _ in range(5)]
    async with bench.owner() as owner:
        # As a dump brings it: another cluster's identifier, and rows of transactions that this one has not reached.
        await owner.execute("UPDATE relay_progress SET system_identifier = 1, previous = '1:1:'")
        for event in events:
            await owner.execute(
                INSERT.replace("(event_id,", "(xid, event_id,", 1).replace(
                    "VALUES (", "VALUES ('900000000', "
                ),
                *outbox_row(event),
            )
    bench.start(relay_of(bench, page=2))

    async def emptied() -> bool:
        async with bench.owner() as owner:
            return not await owner.fetch("SELECT id FROM outbox")

    await eventually(emptied)
    later = noted(bench.topic, new_id(), 1)
    await bench.commit(later)
    await eventually(lambda: all_sent(bench))
    arrived = [event.id for event in await bench.published()]
    assert sorted(arrived) == sorted([*(event.id for event in events), later.id])


class Flapping(Sender):
    """A broker that fails at every third page."""

    sends = 0

    async def send(self, rows: Sequence[Any]) -> Sent:
        type(self).sends += 1
        if type(self).sends % 3 == 0:
            raise SendFailed("planted")
        return await super().send(rows)


async def test_a_flapping_broker_does_not_restart_a_long_pass_for_ever(
    bench: Bench, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "Sender", Flapping)
    monkeypatch.setattr(relay_module, "SETTLE", 0.0)
    events = [noted(bench.topic, new_id(), 1) for _ in range(200)]
    await bench.commit(*events)
    relay = relay_of(bench, page=10)
    bench.start(relay)
    await eventually(lambda: all_sent(bench), timeout=25)
    arrived = [event.id for event in await bench.published()]
    assert set(arrived) == {event.id for event in events}
    # What was acknowledged before a failure is not sent again, but for the pages in flight.
    assert len(arrived) < 2 * len(events)


async def test_a_broker_that_is_away_is_a_reason_and_nothing_is_lost(
    bench: Bench, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Relay(bench.urls.worker, "127.0.0.1:9", bench.service, topics=[], takeover_wait=0.0)
    end = bench.start(relay)
    event = noted(bench.topic, new_id(), 1)
    await bench.commit(event)
    await eventually(lambda: [reason.code for reason in relay.reasons()] == ["relay-broker-down"])
    async with bench.app.read(Scope.nothing()) as session:
        status = await outbox_status(session)
    assert status.backlog == 1
    assert status.leader
    await end()
    bench.start(relay_of(bench))
    await eventually(lambda: all_sent(bench))
    assert [found.id for found in await bench.published()] == [event.id]
