"""The application of the tests around it, with a membership service that knows people by their documents."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.database.provision import DatabaseUrls
from shared.testing.clock import StoppedClock
from tests.support.dossiers import KnownPeople, Office, office_of
from tests.support.tokens import Issuer
from tests.support.welfare import Unit, Welfare
from welfare_service.app import build
from welfare_service.settings import Settings


@pytest.fixture
def people() -> KnownPeople:
    return KnownPeople()


@pytest.fixture
async def welfare(
    founded: tuple[DatabaseUrls, Unit],
    settings: Settings,
    issuer: Issuer,
    clock: StoppedClock,
    people: KnownPeople,
) -> AsyncIterator[Welfare]:
    urls, top = founded
    app = build(settings, clock=clock, key_source=issuer, membership=people)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://welfare.test") as client,
    ):
        yield Welfare(client, issuer, urls, top, clock)


@pytest.fixture
async def office(welfare: Welfare, people: KnownPeople) -> Office:
    return await office_of(welfare, people)
