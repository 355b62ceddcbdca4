"""A lottery of a million entries: the draw, and the draw again by the programme that anybody can run."""

import csv
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import httpx

from events_service.app import build
from events_service.settings import Settings
from shared.database.engine import Database
from shared.testing.clock import StoppedClock
from tests.bench.figures import Figure, figure, interleaved
from tests.bench.ground import Ground, Size, calm
from tests.bench.hot_row import owner
from tests.support.events import Ground as Hall
from tests.support.tokens import AUDIENCE, ISSUER
from unionhall_cli.lottery import Entry, differences

#: $1 the activity, $2 how many.
_ENTRIES: Final = """
    INSERT INTO registrations
        (id, activity_id, member_id, organisation_id, path, pool, position, status, registered_at, version)
    SELECT uuidv7(), a.id, gen_random_uuid(), a.organisation_id, a.path, 0, n, 'entered', now(), 1
    FROM activities a, generate_series(1, $2::int) n WHERE a.id = $1
"""
_HISTORY: Final = """
    INSERT INTO registration_history
    SELECT id, 1, 'registered', now(), 'bench', 'bench' FROM registrations WHERE activity_id = $1
"""


async def lottery(ground: Ground, size: Size) -> list[Figure]:
    """Seconds until the draw is public, and until somebody else has drawn again. Raises RuntimeError unless both agree."""
    number = size.of(1_000_000, 2_000)
    redrawn: list[float] = []
    async with _hall(ground) as hall:
        unit = await hall.unit()
        found = await interleaved(size.rounds, draw=lambda: _draw(ground, hall, unit, number, redrawn))
    return [
        figure("lottery_million_s", "s", found["draw"], target="value <= 30"),
        figure("lottery_again_s", "s", redrawn),
    ]


@asynccontextmanager
async def _hall(ground: Ground) -> AsyncIterator[Hall]:
    """The events service in this process."""
    urls = ground.databases("events")
    settings = Settings(
        database_url=urls.app,
        worker_database_url=urls.worker,
        database_pool=4,
        oidc_issuer=ISSUER,
        oidc_audience=AUDIENCE,
        oidc_jwks_url=ground.jwks_url,
        keys_file=ground.keys_file,
        rate_limit_per_minute=0,
    )
    clock, worker = StoppedClock(), Database(urls.worker, pool_size=2, application_name="bench")
    app = build(settings, clock=clock, key_source=ground.issuer)
    transport = httpx.ASGITransport(app)
    try:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://events.bench", timeout=600) as client,
        ):
            hall = Hall(client, ground.issuer, urls, worker, clock)
            await hall.feed_posts()
            yield hall
    finally:
        await worker.close()


async def _draw(ground: Ground, hall: Hall, unit: str, number: int, redrawn: list[float]) -> float:
    activity, organiser = await hall.activity(unit, mode="lottery", capacity=max(1, number // 10))
    async with owner(ground, hall.urls) as connection:
        await connection.execute(_ENTRIES, UUID(activity), number, timeout=600)
        await connection.execute(_HISTORY, UUID(activity), timeout=600)
        await connection.execute("ANALYZE registrations")
    await hall.call("POST", f"/activities/{activity}/closing", by=organiser, version=5)
    await calm(ground.postgres_url)
    began = time.perf_counter()
    published = await hall.call("POST", f"/activities/{activity}/lottery/draw", by=organiser)
    taken = time.perf_counter() - began
    entries = await _published(hall, activity, organiser)
    began = time.perf_counter()
    found = list(differences(published, entries))
    redrawn.append(time.perf_counter() - began)
    if found or published["entries"] != number:
        raise RuntimeError(f"the draw of {published['entries']} entries cannot be reproduced: {found}")
    return taken


async def _published(hall: Hall, activity: str, reader: str) -> list[Entry]:
    headers = hall.issuer.headers(reader)
    reply = await hall.client.get(f"/api/v1/activities/{activity}/lottery/entries.csv", headers=headers)
    reply.raise_for_status()
    lines: Any = csv.DictReader(reply.text.lstrip("\ufeff").splitlines())
    return [_entry(line) for line in lines]


def _entry(line: dict[str, str]) -> Entry:
    return Entry(UUID(line["registration_id"]), int(line["pool"]), int(line["rank"]), line["result"])
