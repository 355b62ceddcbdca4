"""One federation's database for all tests of the service; each test builds the application anew and works in units of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from membership_service.app import build
from membership_service.settings import Settings
from shared.database.provision import DatabaseUrls
from shared.security.keys import new_ring_json
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from tests.support.membership import Federation, bootstrap
from tests.support.tokens import AUDIENCE, ISSUER, Issuer


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    path.write_bytes(new_ring_json())
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
async def founded(make_database: DatabaseFactory) -> tuple[DatabaseUrls, UUID]:
    urls = make_database("membership")
    return urls, await bootstrap(urls, StoppedClock())


@pytest.fixture
def settings(founded: tuple[DatabaseUrls, UUID], keys_file: Path) -> Settings:
    urls, _ = founded
    return Settings(
        database_url=urls.app,
        worker_database_url=urls.worker,
        database_pool=4,
        oidc_issuer=ISSUER,
        oidc_audience=AUDIENCE,
        oidc_jwks_url="http://127.0.0.1:9/jwks",
        keys_file=keys_file,
        rate_limit_per_minute=0,
    )


@pytest.fixture
async def federation(
    founded: tuple[DatabaseUrls, UUID], settings: Settings, issuer: Issuer, clock: StoppedClock
) -> AsyncIterator[Federation]:
    urls, root_id = founded
    app = build(settings, clock=clock, key_source=issuer)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://membership.test") as client,
    ):
        yield Federation(client, issuer, urls, str(root_id), clock)
