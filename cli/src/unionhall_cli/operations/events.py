"""`unionhall event tail | lag`: what the services tell each other, and how far who has read."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import text

from shared.contracts.catalogue import full_registry
from shared.contracts.envelope import Received, UnreadableEvent, read_record
from shared.database.scope import Scope
from shared.messaging.broker import leave
from unionhall_cli.operations import services
from unionhall_cli.options import Json, group
from unionhall_cli.output import both, give_up, show_json, show_line, show_table

app = group("Kafka 上的事件", "Events on Kafka")

_OFFSETS = text("SELECT consumer, topic, partition, next_offset FROM consumer_offsets")
_FRESH = text("SELECT consumer, min(as_of) AS as_of FROM consumer_freshness GROUP BY consumer")

Kind = Annotated[
    str | None,
    typer.Argument(help=both("主题，如 members；默认全部", "a topic, e.g. members; all by default")),
]


@app.command(help=both("查看最近的事件", "Show the latest events"))
def tail(
    topic: Kind = None,
    count: Annotated[int, typer.Option("--count", "-n", min=0, help=both("条数", "how many"))] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help=both("持续输出", "go on as they come"))
    ] = False,
    as_json: Json = False,
) -> None:
    """Oldest first. With --json one event a line, with its data."""
    services.do(_tail(_topics(topic), count, follow=follow, as_json=as_json))


@app.command(help=both("各消费者落后多少", "How far behind each consumer is"))
def lag(as_json: Json = False) -> None:
    """Events not yet applied, by consumer and topic, and the moment up to which all is applied."""
    rows = services.do(lags())
    if as_json:
        show_json(rows)
    else:
        columns = ("consumer", "topic", "lag", "as_of")
        show_table(
            ["column-consumer", "column-topic", "column-lag", "column-as-of"],
            [[row[name] for name in columns] for row in rows],
        )


def _topics(named: str | None) -> list[str]:
    known = sorted(full_registry().topics)
    if named is None:
        return known
    chosen = [name for name in known if named in {name, name.split(".")[2]}]
    if not chosen:
        give_up("no-such-topic", name=named, known=", ".join(name.split(".")[2] for name in known))
    return chosen


@asynccontextmanager
async def reader() -> AsyncIterator[AIOKafkaConsumer]:
    """A reader that belongs to no group, so that it moves nobody's position."""
    opened = AIOKafkaConsumer(
        bootstrap_servers=services.running().kafka, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await opened.start()
    try:
        yield opened
    finally:
        await leave(opened)


async def partitions(topics: Sequence[str]) -> list[TopicPartition]:
    """All partitions of these topics; of a topic that is not there, none."""
    admin = AIOKafkaAdminClient(bootstrap_servers=services.running().kafka)
    await admin.start()
    try:
        described = await admin.describe_topics()
    finally:
        await admin.close()
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        if topic["topic"] in topics
        for partition in topic["partitions"]
    ]


async def _tail(topics: Sequence[str], count: int, *, follow: bool, as_json: bool) -> None:
    async with reader() as kafka:
        places = await partitions(topics)
        kafka.assign(places)
        begins, ends = await kafka.beginning_offsets(places), await kafka.end_offsets(places)
        for place in places:
            kafka.seek(place, max(begins[place], ends[place] - count))
        latest = [record async for record in records_until(kafka, ends)]
        for record in sorted(latest, key=lambda record: record.timestamp)[-count:] if count else []:
            _show(record, as_json=as_json)
        while follow:
            for records in (await kafka.getmany(timeout_ms=500)).values():
                for record in records:
                    _show(record, as_json=as_json)


async def records_until(
    kafka: AIOKafkaConsumer, ends: dict[TopicPartition, int]
) -> AsyncIterator[ConsumerRecord]:
    """All records before `ends` from where the reader stands."""
    open_places = {place for place, end in ends.items() if await kafka.position(place) < end}
    while open_places:
        for place, records in (await kafka.getmany(*open_places, timeout_ms=500)).items():
            for record in records:
                if record.offset < ends[place]:
                    yield record
        # Compaction leaves holes: the position tells, not the last record.
        open_places = {place for place in open_places if await kafka.position(place) < ends[place]}


def _show(record: ConsumerRecord, *, as_json: bool) -> None:
    place = f"{record.topic}[{record.partition}]@{record.offset}"
    try:
        event = read_record(record.topic, record.partition, record.offset, record.headers, record.value)
    except UnreadableEvent as problem:
        if as_json:
            show_line({"place": place, "unreadable": str(problem)})
        else:
            typer.echo(f"✗ {place}  {problem}")
        return
    if as_json:
        show_line({"place": place} | _fields(event))
    else:
        typer.echo(
            f"{event.time:%Y-%m-%d %H:%M:%S}  {event.type:<50} {event.subject} #{event.sequence}  {place}"
        )


def _fields(event: Received) -> dict[str, Any]:
    names = ("id", "type", "source", "subject", "sequence", "time", "data")
    return {name: getattr(event, name) for name in names}


async def lags() -> list[dict[str, Any]]:
    """One row per consumer and topic: events not yet applied, and up to when all is applied."""
    stands: dict[tuple[str, str], dict[int, int]] = {}
    fresh: dict[str, datetime] = {}
    for service in services.names():
        async with services.database(service) as database, database.read(Scope.everything()) as session:
            for row in await session.execute(_OFFSETS):
                stands.setdefault((row.consumer, row.topic), {})[row.partition] = row.next_offset
            fresh |= {row.consumer: row.as_of for row in await session.execute(_FRESH)}
    async with reader() as kafka:
        places = await partitions(sorted({topic for _, topic in stands}))
        ends = await kafka.end_offsets(places)
    rows = []
    for (consumer, topic), offsets in sorted(stands.items()):
        behind = sum(
            max(0, end - offsets.get(place.partition, 0))
            for place, end in ends.items()
            if place.topic == topic
        )
        as_of = fresh.get(consumer)
        age = None if as_of is None else round((datetime.now(UTC) - as_of).total_seconds(), 1)
        rows.append({"consumer": consumer, "topic": topic, "lag": behind, "as_of": as_of, "age_seconds": age})
    return rows
