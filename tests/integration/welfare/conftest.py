"""One federation's database for all tests of the service; each test builds the application anew and works in units of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from tests.support.service import client_of, settings_of
from tests.support.tokens import Issuer
from tests.support.welfare import Unit, Welfare, found
from welfare_service.app import build
from welfare_service.settings import Settings


@pytest.fixture(scope="session")
async def founded(make_database: DatabaseFactory) -> tuple[DatabaseUrls, Unit]:
    urls = make_database("welfare")
    return urls, await found(urls)


@pytest.fixture
def settings(founded: tuple[DatabaseUrls, Unit], keys_file: Path) -> Settings:
    urls, _ = founded
    return Settings(**settings_of(urls, keys_file), membership_url="http://127.0.0.1:9")


@pytest.fixture
def membership() -> httpx.AsyncBaseTransport | None:
    """The membership service: out of reach, unless the tests of a folder bring one."""
    return None


@pytest.fixture
async def welfare(
    founded: tuple[DatabaseUrls, Unit],
    settings: Settings,
    issuer: Issuer,
    clock: StoppedClock,
    membership: httpx.AsyncBaseTransport | None,
) -> AsyncIterator[Welfare]:
    urls, top = founded
    app = build(settings, clock=clock, key_source=issuer, membership=membership)
    async with client_of(app) as client:
        yield Welfare(client, issuer, urls, top, clock)


@pytest.fixture
async def app_database(founded: tuple[DatabaseUrls, Unit]) -> AsyncIterator[Database]:
    """The application role's way to the database, for use cases without HTTP."""
    database = Database(founded[0].app, pool_size=8, application_name="test")
    yield database
    await database.close()


@pytest.fixture
async def worker_database(founded: tuple[DatabaseUrls, Unit]) -> AsyncIterator[Database]:
    """The worker's way, who sees all rows."""
    database = Database(founded[0].worker, pool_size=4, application_name="test")
    yield database
    await database.close()
