"""A welfare service in this process, over the database of a bench, with a unit, its officers and a budget."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx

from shared.database.provision import DatabaseUrls
from shared.testing.clock import StoppedClock
from tests.bench.ground import Ground
from tests.support.aid import Aid, FakeMembership, aid_of
from tests.support.tokens import AUDIENCE, ISSUER
from tests.support.welfare import Welfare, found
from welfare_service.app import build
from welfare_service.settings import Settings


@asynccontextmanager
async def office(ground: Ground) -> AsyncIterator[tuple[Aid, DatabaseUrls]]:
    """An aid office and its database; a membership service answers from the replica."""
    urls = ground.databases("welfare")
    top = await found(urls)
    settings = Settings(
        database_url=urls.app,
        worker_database_url=urls.worker,
        database_pool=8,
        oidc_issuer=ISSUER,
        oidc_audience=AUDIENCE,
        oidc_jwks_url=ground.jwks_url,
        keys_file=ground.keys_file,
        membership_url="http://127.0.0.1:9",
        rate_limit_per_minute=0,
    )
    clock, membership = StoppedClock(datetime(2026, 3, 16, 2, tzinfo=UTC)), FakeMembership(urls.worker)
    app = build(settings, clock=clock, key_source=ground.issuer, membership=membership)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://welfare.bench") as client,
    ):
        yield await aid_of(Welfare(client, ground.issuer, urls, top, clock), membership), urls
