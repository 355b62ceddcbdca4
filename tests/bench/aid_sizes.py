"""The work list and the dashboard of one unit, in a small federation with a short history and in a large one with a long one."""

import logging
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import httpx

from gateway_service.app import build
from gateway_service.dashboard.handlers import apply
from gateway_service.settings import Settings
from shared.contracts.envelope import Received
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.directory import replica
from shared.kernel.ids import new_id
from shared.testing.clock import StoppedClock
from tests.bench.approvals import submitted
from tests.bench.figures import Figure, figure
from tests.bench.ground import Ground, Size
from tests.bench.hot_row import owner
from tests.bench.offices import office
from tests.integration.gateway.aid_histories import case_event
from tests.integration.gateway.histories import FIRST_DAY, organisation_event
from tests.integration.gateway.test_views import post_event
from tests.support.tokens import AUDIENCE, ISSUER

# The owners behind this gateway are nowhere, and it says so all the while.
logging.getLogger("gateway_service.proxy.documents").setLevel(logging.ERROR)
_BLOCK: Final = 25
#: Cases that wait for the officer of the unit, in both federations.
_WAITING: Final = 50
_BATCH: Final = 2_000
#: $1 a case of the unit: as many finished ones of other members, half of them in other units.
_HISTORY: Final = """
    INSERT INTO cases SELECT (jsonb_populate_record(known, jsonb_build_object(
        'id', gen_random_uuid(), 'member_id', gen_random_uuid(), 'case_number', 'OLD-' || n, 'stage', 'acknowledged',
        'due_on', NULL, 'path', CASE WHEN n % 2 = 0 THEN known.path ELSE '1/' || to_hex(1000000 + n % 20000) || '/' END
    ))).* FROM cases AS known, generate_series(1, $2::int) AS n WHERE known.id = $1
"""

Ask = Callable[[], Awaitable[httpx.Response]]


async def aid_sizes(ground: Ground, size: Size) -> list[Figure]:
    """Median milliseconds of a request to the service in this process, blocks of both federations in turn."""
    async with AsyncExitStack() as stack:
        lists = [
            await stack.enter_async_context(_work_list(ground, finished))
            for finished in (size.of(400_000, 1_000), size.of(1_000, 100))
        ]
        boards = [
            await stack.enter_async_context(_dashboard(ground, units, days))
            for units, days in ((size.of(2_000, 50), size.of(360, 20)), (size.of(20, 5), size.of(10, 2)))
        ]
        rounds = range(size.rounds)
        work = [await _compare(lists, size.of(20, 2)) for _ in rounds]
        board = [await _compare(boards, size.of(20, 2)) for _ in rounds]
    return [
        figure(
            name, "ms", [large for large, _ in found], [small for _, small in found], target="ratio <= 1.3"
        )
        for name, found in (("worklist_large_vs_small", work), ("aid_dashboard_large_vs_small", board))
    ]


async def _compare(pair: list[Ask], blocks: int) -> tuple[float, float]:
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(blocks):
        for ask, times in zip(pair, taken, strict=True):
            for _ in range(_BLOCK):
                began = time.perf_counter()
                reply = await ask()
                times.append((time.perf_counter() - began) * 1000)
                reply.raise_for_status()
    large, small = (statistics.median(times) for times in taken)
    print(f"  large {large:.2f} ms  small {small:.2f} ms", flush=True)
    return large, small


@asynccontextmanager
async def _work_list(ground: Ground, finished: int) -> AsyncIterator[Ask]:
    """A welfare service whose approver has work to do, and `finished` cases behind it."""
    async with office(ground) as (aid, urls):
        rows = await submitted(ground, urls, aid, _WAITING)
        async with owner(ground, urls) as connection:
            await connection.execute(_HISTORY, rows[0]["id"], finished, timeout=600)
            await connection.execute("VACUUM ANALYZE", timeout=600)

        async def ask() -> httpx.Response:
            headers = aid.welfare.issuer.headers(aid.approver)
            return await aid.welfare.client.get("/internal/v1/work", headers=headers)

        found = len((await ask()).json()["items"])
        if found < _WAITING:
            raise RuntimeError(f"{found} of {_WAITING} cases wait for the approver")
        yield ask


@asynccontextmanager
async def _dashboard(ground: Ground, units: int, days: int) -> AsyncIterator[Ask]:
    """A gateway that has counted a case a day in the unit that is looked at, and ten in every other unit."""
    urls = ground.databases("gateway")
    top, unit = new_id(), new_id()
    tree = [organisation_event(top, 1, 1, None, FIRST_DAY), organisation_event(unit, 2, 1, top, FIRST_DAY)]
    others = [new_id() for _ in range(units)]
    tree += [organisation_event(one, 3 + n, 1, top, FIRST_DAY) for n, one in enumerate(others)]
    cases = [_case(unit, day) for day in range(days)] + [
        _case(one, n % days) for one in others for n in range(10)
    ]
    worker = Database(urls.worker, pool_size=2, application_name="bench")
    async with worker.write(Scope.everything()) as session:
        await replica.apply(session, [*tree, post_event("reader", unit, "welfare_officer")])
        await session.commit()
    for first in range(0, len(tree) + len(cases), _BATCH):
        async with worker.write(Scope.everything()) as session:
            await apply(session, [*tree, *cases][first : first + _BATCH])
            await session.commit()
    await worker.close()
    async with owner(ground, urls) as connection:
        await connection.execute("VACUUM ANALYZE", timeout=600)
    nowhere = "http://127.0.0.1:9"
    settings = Settings(
        database_url=urls.app,
        oidc_issuer=ISSUER,
        oidc_audience=AUDIENCE,
        oidc_jwks_url=ground.jwks_url,
        keys_file=ground.keys_file,
        membership_url=nowhere,
        welfare_url=nowhere,
        events_url=nowhere,
        identity_url=nowhere,
        rate_limit_per_minute=0,
    )
    app = build(settings, clock=StoppedClock(datetime(2027, 1, 10, tzinfo=UTC)), key_source=ground.issuer)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.bench") as client,
    ):

        async def ask() -> httpx.Response:
            path = f"/api/v1/organisations/{unit}/dashboard"
            return await client.get(path, headers=ground.issuer.headers("reader"))

        counted = (await ask()).json()["aid"]["cases_by_stage"]
        if counted != {"paid": days}:
            raise RuntimeError(f"of {days} cases the dashboard knows {counted}")
        yield ask


def _case(unit: UUID, day: int) -> Received:
    return case_event(new_id(), 1, unit, new_id(), "paid", FIRST_DAY + timedelta(days=day))
