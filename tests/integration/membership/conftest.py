"""One federation's database for all tests of the service; each test builds the application anew and works in units of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from membership_service.app import build
from membership_service.settings import Settings
from shared.database.provision import DatabaseUrls
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from tests.support.membership import Federation, bootstrap
from tests.support.service import client_of, settings_of
from tests.support.tokens import Issuer


@pytest.fixture(scope="session")
async def founded(make_database: DatabaseFactory) -> tuple[DatabaseUrls, UUID]:
    urls = make_database("membership")
    return urls, await bootstrap(urls, StoppedClock())


@pytest.fixture
def settings(founded: tuple[DatabaseUrls, UUID], keys_file: Path) -> Settings:
    urls, _ = founded
    return Settings(**settings_of(urls, keys_file))


@pytest.fixture
async def federation(
    founded: tuple[DatabaseUrls, UUID], settings: Settings, issuer: Issuer, clock: StoppedClock
) -> AsyncIterator[Federation]:
    urls, root_id = founded
    app = build(settings, clock=clock, key_source=issuer)
    async with client_of(app) as client:
        yield Federation(client, issuer, urls, str(root_id), clock)
