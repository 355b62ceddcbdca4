"""One database for all tests of the service; each test builds the application anew and works in units of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events_service.app import build
from events_service.invariants import INVARIANTS
from events_service.settings import Settings
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.security.keys import KeyRing
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from shared.web.invariants import examine
from tests.support.events import Ground
from tests.support.service import client_of, settings_of
from tests.support.tokens import Issuer


@pytest.fixture(scope="session")
def urls(make_database: DatabaseFactory) -> DatabaseUrls:
    return make_database("events")


@pytest.fixture
def settings(urls: DatabaseUrls, keys_file: Path) -> Settings:
    return Settings(**settings_of(urls, keys_file))


@pytest.fixture
async def ground(
    urls: DatabaseUrls, settings: Settings, issuer: Issuer, clock: StoppedClock, keys_file: Path
) -> AsyncIterator[Ground]:
    """After each test all invariants of the service hold."""
    app = build(settings, clock=clock, key_source=issuer)
    worker = Database(urls.worker, pool_size=2, application_name="test-worker")
    async with client_of(app) as client:
        ground = Ground(client, issuer, urls, worker, clock)
        await ground.feed_posts()
        yield ground
    async with worker.read(Scope.everything()) as session:
        found = await examine(session, KeyRing.load(keys_file), INVARIANTS)
    await worker.close()
    broken = [finding for finding in found if finding.offenders]
    assert not broken
