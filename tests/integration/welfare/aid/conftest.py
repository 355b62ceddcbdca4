"""The application of the tests around it, with a membership service that answers."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.database.provision import DatabaseUrls
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from tests.support.aid import Aid, FakeMembership, aid_of
from tests.support.tokens import Issuer
from tests.support.welfare import Unit, Welfare, found
from welfare_service.app import build
from welfare_service.settings import Settings


@pytest.fixture(scope="session")
async def founded(make_database: DatabaseFactory) -> tuple[DatabaseUrls, Unit]:
    """A database of its own: here cases are paid without any bank, which the invariants of payouts would call a breach."""
    urls = make_database("welfare")
    return urls, await found(urls)


@pytest.fixture
def membership(founded: tuple[DatabaseUrls, Unit]) -> FakeMembership:
    return FakeMembership(founded[0].worker)


@pytest.fixture
async def welfare(
    founded: tuple[DatabaseUrls, Unit],
    settings: Settings,
    issuer: Issuer,
    clock: StoppedClock,
    membership: FakeMembership,
) -> AsyncIterator[Welfare]:
    urls, top = founded
    app = build(settings, clock=clock, key_source=issuer, membership=membership)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://welfare.test") as client,
    ):
        yield Welfare(client, issuer, urls, top, clock)


@pytest.fixture
async def aid(welfare: Welfare, membership: FakeMembership) -> Aid:
    return await aid_of(welfare, membership)
