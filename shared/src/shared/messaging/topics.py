"""Declares topics to the broker. Run once per installation: `python -m shared.messaging.topics`.

The number of partitions decides where a key lives, so it is never changed: a topic with another number is an error.
"""

import asyncio
import sys
from collections.abc import Collection, Iterable, Mapping

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from shared.contracts.catalogue import full_registry
from shared.contracts.envelope import Topic
from shared.messaging.broker import CertificateProblem, connection
from shared.settings import TOPICS_NEEDS, TopicsSettings, load

#: What was deleted or superseded stays at least this long, so that everybody sees all that happened in the last 30 days.
_TOMBSTONES_MS = 30 * 24 * 3600 * 1000
_ALREADY_EXISTS = 36


class TopicsMissing(RuntimeError):
    """Topics that nobody has declared to the broker, or that it does not show us."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


class WrongPartitions(RuntimeError):
    """Topics exist with another number of partitions than declared."""

    def __init__(self, told: str, names: list[str]) -> None:
        super().__init__(told)
        self.names = names


def progress_topic(service: str) -> Topic:
    """Where the relay of a service says up to when everything is published; short-lived."""
    return Topic(f"unionhall.{service}.progress.v1", partitions=1, compacted=False, retention_ms=3600 * 1000)


def dead_letter_topic(consumer: str) -> Topic:
    """The mirror of a consumer's dead letters."""
    return Topic(
        f"unionhall.{consumer}.dead-letters.v1",
        partitions=1,
        compacted=False,
        retention_ms=90 * 24 * 3600 * 1000,
    )


def declared_topics() -> list[Topic]:
    """The topics of all contracts, and the progress topic of each service that owns one."""
    topics = list(full_registry().topics.values())
    services = sorted({topic.name.split(".")[1] for topic in topics})
    return [*topics, *(progress_topic(service) for service in services)]


def topic_configuration(topic: Topic) -> dict[str, str]:
    """The broker's settings of a topic. Compaction waits for the retention time, so recent history is complete."""
    if topic.compacted:
        return {
            "cleanup.policy": "compact",
            "min.compaction.lag.ms": str(topic.retention_ms),
            "delete.retention.ms": str(_TOMBSTONES_MS),
        }
    return {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}


async def ensure_topics(
    bootstrap: str, topics: Iterable[Topic], *, replication: int = 1, checked: Iterable[Topic] = ()
) -> list[str]:
    """Create what is missing; the names of what was created. `checked` are only looked at, if they are there.

    Raises WrongPartitions, and KafkaError if the broker refuses.
    """
    wanted = {topic.name: topic for topic in topics}
    admin = AIOKafkaAdminClient(**connection(bootstrap), request_timeout_ms=10_000)
    await admin.start()
    try:
        present = {found["topic"]: len(found["partitions"]) for found in await admin.describe_topics()}
        missing = [topic for name, topic in wanted.items() if name not in present]
        if missing:
            await _create(admin, missing, replication)
    finally:
        await admin.close()
    _compare_partitions(present, (*wanted.values(), *checked))
    return [topic.name for topic in missing]


def require_topics(present: Mapping[str, int], topics: Collection[Topic]) -> None:
    """`present` are the broker's, with their numbers of partitions. Raises TopicsMissing, and WrongPartitions."""
    if missing := sorted(topic.name for topic in topics if topic.name not in present):
        raise TopicsMissing(missing)
    _compare_partitions(present, topics)


def _compare_partitions(present: Mapping[str, int], topics: Iterable[Topic]) -> None:
    wrong = {
        topic.name: f"{topic.name} has {present[topic.name]} partitions, not {topic.partitions}"
        for topic in topics
        if present.get(topic.name, topic.partitions) != topic.partitions
    }
    if wrong:
        raise WrongPartitions("; ".join(wrong.values()), sorted(wrong))


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic], replication: int) -> None:
    new = [
        NewTopic(
            name=topic.name,
            num_partitions=topic.partitions,
            replication_factor=replication,
            topic_configs=topic_configuration(topic),
        )
        for topic in topics
    ]
    reply = await admin.create_topics(new, timeout_ms=10_000)
    for name, code, message in (error[:3] for error in reply.topic_errors):
        # Another process may have been quicker.
        if code not in (0, _ALREADY_EXISTS):
            raise for_code(code)(f"{name}: {message}")


async def _main() -> None:
    settings = load(TopicsSettings, *TOPICS_NEEDS)
    try:
        created = await ensure_topics(
            settings.kafka_bootstrap, declared_topics(), replication=settings.kafka_replication
        )
    except (KafkaError, WrongPartitions, CertificateProblem) as problem:
        raise SystemExit(f"topics could not be declared: {problem}") from None
    sys.stdout.write(f"{len(created)} topics created, {len(declared_topics()) - len(created)} were there\n")


if __name__ == "__main__":
    asyncio.run(_main())
