"""Brokers and databases that are there and not as they should be: wrong partitions, wrong addresses, a full disk."""

import logging
from contextlib import suppress
from dataclasses import replace

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from shared.contracts.envelope import Topic
from shared.kernel.ids import new_id
from shared.kernel.texts import text
from shared.messaging.consumer import Consumer
from shared.messaging.relay import Relay
from shared.messaging.topics import WrongPartitions, ensure_topics, progress_topic
from shared.observability.metrics import RELAY_FAILURES
from shared.testing import Eventually
from tests.integration.messaging.conftest import Bench
from tests.integration.messaging.consuming import consumer_of, producing, remember, rows
from tests.support.scratch import noted

#: What PostgreSQL says when its disk is full, said by a trigger: code 53100.
DISK_FULL = """
    CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER is_full BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION is_full();
"""
ROOM_AGAIN = "DROP FUNCTION is_full CASCADE"


async def test_a_topic_with_too_few_partitions_is_told_and_nothing_is_read(
    bench: Bench, eventually: Eventually, unique: str
) -> None:
    name = f"unionhall.few{unique}.things.v1"
    await ensure_topics(bench.kafka, [Topic(name, partitions=2)])
    declared = Topic(name, partitions=4)

    async def is_refused() -> bool:
        # A topic that was made just now may not be listed yet.
        with suppress(WrongPartitions):
            await ensure_topics(bench.kafka, [], checked=[declared])
            return False
        return True

    await eventually(is_refused)
    with pytest.raises(WrongPartitions, match=f"{name} has 2 partitions, not 4"):
        await ensure_topics(bench.kafka, [declared])
    consumer = Consumer(f"{bench.service}.few", [declared], remember, "projection", bench.worker, bench.kafka)
    bench.start(consumer)
    await eventually(lambda: [reason.code for reason in consumer.reasons()] == ["consumer-partitions-wrong"])
    [reason] = consumer.reasons()
    assert name in text(reason.code, "en", **reason.params)
    assert name in text(reason.code, "zh-CN", **reason.params)
    assert not await rows(bench, "SELECT 1 FROM consumer_offsets")


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the relay says it waits for."""
    return [one.getMessage() for one in caplog.records if "relay waits" in one.getMessage()]


async def test_a_relay_waits_for_topics_that_are_missing_and_goes_on_by_itself(
    bench: Bench, eventually: Eventually, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    service = f"late{unique}"
    topic = Topic(f"unionhall.{service}.things.v1", partitions=4)
    relay = Relay(bench.urls.worker, bench.kafka, service, topics=[topic], takeover_wait=0.0)
    event = noted(topic, new_id(), 1)
    await bench.commit(event)
    bench.start(relay)
    await eventually(lambda: [reason.code for reason in relay.reasons()] == ["relay-topics-missing"])
    [reason] = relay.reasons()
    for language in ("en", "zh-CN"):
        assert topic.name in text(reason.code, language, **reason.params)
    tries = RELAY_FAILURES.labels(reason="topics")
    before = tries._value.get()
    await eventually(lambda: tries._value.get() > before + 1)
    assert len(told(caplog)) == 1
    reader = AIOKafkaConsumer(bootstrap_servers=bench.kafka)
    await reader.start()
    assert not {topic.name, progress_topic(service).name} & await reader.topics()
    await reader.stop()
    await ensure_topics(bench.kafka, [topic, progress_topic(service)])
    arrived = await eventually(replace(bench, topic=topic).published, timeout=25)
    assert [found.id for found in arrived] == [event.id]
    await eventually(lambda: not relay.reasons())


async def test_a_relay_sends_nothing_to_a_topic_with_too_few_partitions(
    bench: Bench, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    declared = replace(bench.topic, partitions=8)
    relay = Relay(bench.urls.worker, bench.kafka, bench.service, topics=[declared], takeover_wait=0.0)
    event = noted(bench.topic, new_id(), 1)
    await bench.commit(event)
    bench.start(relay)
    await eventually(lambda: [reason.code for reason in relay.reasons()] == ["relay-partitions-wrong"])
    [reason] = relay.reasons()
    for language in ("en", "zh-CN"):
        assert bench.topic.name in text(reason.code, language, **reason.params)
    assert len(told(caplog)) == 1
    assert not await bench.published()
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.kafka)
    await admin.start()
    await admin.create_partitions({bench.topic.name: NewPartitions(8)})
    await admin.close()
    arrived = await eventually(replace(bench, topic=declared).published, timeout=25)
    assert [found.id for found in arrived] == [event.id]
    await eventually(lambda: not relay.reasons())


async def test_a_wrong_address_of_the_broker_is_told_by_a_consumer(
    bench: Bench, eventually: Eventually
) -> None:
    name = f"{bench.service}.away"
    consumer = Consumer(name, [bench.topic], remember, "projection", bench.worker, "127.0.0.1:9")
    bench.start(consumer)
    await eventually(lambda: [reason.code for reason in consumer.reasons()] == ["consumer-broker-down"])
    [reason] = consumer.reasons()
    for language in ("en", "zh-CN"):
        said = text(reason.code, language, **reason.params)
        assert name in said
        assert "UNIONHALL_KAFKA_BOOTSTRAP" in said


async def test_a_wrong_address_of_the_database_is_told(bench: Bench, eventually: Eventually) -> None:
    nowhere = "postgresql://nobody:none@127.0.0.1:9/none"
    relay = Relay(nowhere, bench.kafka, bench.service, topics=[bench.topic])
    bench.start(relay)
    await eventually(lambda: [reason.code for reason in relay.reasons()] == ["relay-database-down"])


async def test_a_view_waits_while_the_disk_is_full_and_goes_on_by_itself(
    bench: Bench, eventually: Eventually
) -> None:
    async with bench.owner() as owner:
        await owner.execute(DISK_FULL.format(table="seen"))
    try:
        consumer = consumer_of(bench, remember)
        bench.start(consumer)
        async with producing(bench) as send:
            await send(*(noted(bench.topic, new_id(), 1) for _ in range(20)))
        await eventually(
            lambda: (
                [(one.code, one.params["cause"]) for one in consumer.reasons()]
                == [("consumer-database-down", "DiskFullError")]
            )
        )
        assert not await rows(bench, "SELECT 1 FROM dead_letters")
    finally:
        async with bench.owner() as owner:
            await owner.execute(ROOM_AGAIN)
    await eventually(lambda: rows(bench, "SELECT 1 FROM seen HAVING count(*) = 20"), timeout=25)
    await eventually(lambda: not consumer.reasons())


async def test_a_write_on_a_full_disk_leaves_no_half_transaction(bench: Bench) -> None:
    async with bench.owner() as owner:
        await owner.execute(DISK_FULL.format(table="outbox"))
        try:
            with pytest.raises(Exception, match="No space left") as refused:
                await bench.commit(noted(bench.topic, new_id(), 1))
            assert isinstance(refused.value, asyncpg.DiskFullError) or "DiskFullError" in repr(refused.value)
        finally:
            await owner.execute(ROOM_AGAIN)
        assert await owner.fetchval("SELECT count(*) FROM outbox") == 0
    await bench.commit(noted(bench.topic, new_id(), 1))
