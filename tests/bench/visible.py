"""From a commit in one service to what the gateway's readers see, at two rates, beside an empty round trip of the client.

Real processes: the relay of membership, the consumers of the gateway. The writers are procedures inside PostgreSQL, one
transaction an event, because a writer in Python would take a core of two for itself.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared.contracts.membership import MEMBERS
from shared.database.provision import DatabaseUrls
from shared.database.session import OUTBOX_COLUMNS, outbox_row
from tests.bench.events import admissions
from tests.bench.federations import membership, superuser, until, value
from tests.bench.figures import Figure, figure, percentile
from tests.bench.ground import Ground, Size, calm

RATES = (1_000, 4_000)
_LANES = 4
_CHANNEL = "gateway_live"
_COLUMNS = ", ".join(OUTBOX_COLUMNS)
#: The event's time is set right before the commit and travels with it to the facts of the gateway.
_WRITER = f"""
    CREATE TABLE bench_events AS SELECT 0::bigint AS n, {_COLUMNS} FROM outbox WITH NO DATA;
    ALTER TABLE bench_events ADD PRIMARY KEY (n);
    CREATE PROCEDURE bench_write(lane int, lanes int, rate float8, total bigint) LANGUAGE plpgsql AS $$
    DECLARE
        began timestamptz := clock_timestamp();
        due timestamptz;
    BEGIN
        FOR place IN lane .. total - 1 BY lanes LOOP
            due := began + make_interval(secs => place / rate);
            IF due > clock_timestamp() THEN
                PERFORM pg_sleep(extract(epoch FROM due - clock_timestamp()));
                COMMIT;
            END IF;
            INSERT INTO outbox ({_COLUMNS})
            SELECT {_COLUMNS.replace("time,", "clock_timestamp(),")} FROM bench_events WHERE n = place;
            COMMIT;
        END LOOP;
    END $$
"""


async def visible(ground: Ground, size: Size) -> list[Figure]:
    """Latencies of every event but those of the first seconds."""
    seconds = size.of(20, 3)
    warm_up = size.of(4, 1)
    trips: list[list[float]] = []
    found: dict[int, list[list[float]]] = {rate: [] for rate in RATES}
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(membership(ground, "relay,jobs"))
        units = [await service.federation.unit() for _ in range(20)]
        gateway = ground.databases("gateway")
        environment = ground.environment("gateway", gateway)
        await asyncio.to_thread(ground.worker, "gateway", environment, "consumers,jobs")
        known = "SELECT count(*) FROM directory_organisations WHERE path IS NOT NULL"

        async def told() -> bool:
            return bool(await value(superuser(ground, gateway), known) > len(units))

        await until(told, 60)
        writer = await _Writer.make(ground, service.urls, gateway, [unit["id"] for unit in units])
        for number in range(size.rounds):
            trips.append(await _round_trips(ground, size.of(1_000, 100)))
            for rate in RATES:
                seen = await writer.run(rate, seconds, warm_up)
                found[rate].append(seen)
                half, most = (percentile(seen, part) for part in (0.5, 0.99))
                print(f"  round {number + 1}  {rate}/s  p50 {half:.1f} ms  p99 {most:.1f} ms", flush=True)
    empty = {part: [percentile(one, part) for one in trips] for part in (0.5, 0.99)}
    figures = []
    for part, label, limit in ((0.5, "p50", 20), (0.99, "p99", 80)):
        for rate in reversed(RATES):
            suffix = "" if rate == max(RATES) else f"_at_{rate}"
            measured = [percentile(one, part) for one in found[rate]]
            target = f"value <= {limit}"
            figures.append(figure(f"visible_{label}_ms{suffix}", "ms", measured, empty[part], target=target))
    return figures


async def _round_trips(ground: Ground, count: int) -> list[float]:
    """The ceiling: milliseconds of an empty record from one client of an idle broker to another."""
    topic = await ground.topic()
    place = TopicPartition(topic.name, 0)
    producer = AIOKafkaProducer(bootstrap_servers=ground.kafka, enable_idempotence=True)
    reader = AIOKafkaConsumer(bootstrap_servers=ground.kafka, enable_auto_commit=False)
    await producer.start()
    await reader.start()
    reader.assign([place])
    await reader.seek_to_end(place)
    taken = []
    try:
        for _ in range(count):
            began = time.perf_counter()
            await producer.send(topic.name, b"", key=b"key", partition=0)
            while not await reader.getmany(timeout_ms=1_000):
                pass
            taken.append((time.perf_counter() - began) * 1000)
    finally:
        await reader.stop()
        await producer.stop()
    return taken


class _Writer:
    """Writes at a rate and watches what the gateway shows."""

    def __init__(self, ground: Ground, source: str, gateway: str, units: list[str]) -> None:
        self._ground = ground
        self._source = source
        self._gateway = gateway
        self._units = units

    @classmethod
    async def make(
        cls, ground: Ground, urls: DatabaseUrls, gateway: DatabaseUrls, units: list[str]
    ) -> "_Writer":
        """Put the writers into the database of membership."""
        source = superuser(ground, urls)
        connection = await asyncpg.connect(source)
        await connection.execute(_WRITER)
        await connection.close()
        return cls(ground, source, superuser(ground, gateway), units)

    async def run(self, rate: int, seconds: int, warm_up: int) -> list[float]:
        """Milliseconds from each commit of the last `seconds` to its sight."""
        total = rate * (seconds + warm_up)
        await self._stage(total)
        await calm(self._ground.postgres_url)
        watching = asyncio.create_task(self._watch(total))
        lanes = [asyncio.create_task(self._write(lane, rate, total)) for lane in range(_LANES)]
        await asyncio.gather(*lanes)
        seen = await watching
        return seen[rate * warm_up :]

    async def _stage(self, total: int) -> None:
        events = admissions(total, MEMBERS, [UUID(unit) for unit in self._units])
        rows = [(place, *outbox_row(event)) for place, event in enumerate(events)]
        connection = await asyncpg.connect(self._source)
        await connection.execute("TRUNCATE bench_events")
        await connection.copy_records_to_table("bench_events", records=rows, columns=["n", *OUTBOX_COLUMNS])
        await connection.execute("ANALYZE bench_events")
        await connection.close()

    async def _write(self, lane: int, rate: int, total: int) -> None:
        connection = await asyncpg.connect(self._source)
        try:
            await connection.execute(f"CALL bench_write({lane}, {_LANES}, {rate}, {total})")
        finally:
            await connection.close()

    async def _watch(self, total: int) -> list[float]:
        """Told by the gateway's own announcement, as its HTTP processes are, then reads what is new."""
        connection = await asyncpg.connect(self._gateway)
        heard = asyncio.Event()
        await connection.add_listener(_CHANNEL, lambda *_: heard.set())
        last = await connection.fetchval("SELECT coalesce(max(id), 0) FROM facts")
        seen: list[float] = []
        try:
            async with asyncio.timeout(300):
                while len(seen) < total:
                    await heard.wait()
                    heard.clear()
                    rows = await connection.fetch(
                        "SELECT id, time FROM facts WHERE id > $1 ORDER BY id", last
                    )
                    now = time.time()
                    seen += [(now - row["time"].timestamp()) * 1000 for row in rows]
                    last = rows[-1]["id"] if rows else last
        finally:
            await connection.close()
        return seen
