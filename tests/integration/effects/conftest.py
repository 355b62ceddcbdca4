"""One installation for all tests here, on a broker of its own: consumer groups have fixed names."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from events_service import app as events_app
from events_service import worker as events_worker
from events_service.settings import Settings as EventsSettings
from gateway_service import app as gateway_app
from gateway_service import worker as gateway_worker
from gateway_service.settings import Settings as GatewaySettings
from local_stack.plan import SERVICES
from membership_service import app as membership_app
from membership_service import worker as membership_worker
from membership_service.settings import Settings as MembershipSettings
from shared.database.provision import DatabaseUrls
from shared.security.keys import new_ring_json
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from shared.testing.servers import own_kafka
from tests.integration.effects.house import House, Worker, now
from tests.support.membership import ROOT_ADMIN, bootstrap
from tests.support.tokens import AUDIENCE, ISSUER, Issuer
from tests.support.welfare import Unit
from welfare_service import app as welfare_app
from welfare_service import worker as welfare_worker
from welfare_service.settings import Settings as WelfareSettings

_NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="package")
def own_broker() -> Iterator[str]:
    with own_kafka() as server:
        environment = os.environ | {"UNIONHALL_KAFKA_BOOTSTRAP": server.bootstrap}
        command = [sys.executable, "-m", "shared.messaging.topics"]
        subprocess.run(command, env=environment, check=True, timeout=120)
        yield server.bootstrap


@pytest.fixture(scope="package")
async def opened_house(
    make_database: DatabaseFactory, own_broker: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    issuer = Issuer()
    urls = {service: make_database(service) for service in SERVICES}
    root_id = await bootstrap(urls["membership"], StoppedClock(now()))
    settings = _settings(urls, own_broker, _keys(tmp_path_factory.mktemp("keys")))
    async with AsyncExitStack() as stack:
        clients = {}
        for service, app in _apps(settings, issuer).items():
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url=f"http://{service}.test", timeout=30
            )
            clients[service] = await stack.enter_async_context(client)
        workers = _workers(settings)
        for worker in workers.values():
            worker.start()
            stack.push_async_callback(worker.end)
        house = House(clients, issuer, urls, settings._asdict(), workers, Unit(root_id, "1/"))
        await house.replicated("directory_organisations", id=root_id)
        await house.replicated("directory_posts", subject=ROOT_ADMIN)
        await house.fresh()
        await house.listening()
        await house.call(
            "welfare", "POST", "/rules/defaults", by=ROOT_ADMIN, json={"organisation_id": str(root_id)}
        )
        yield house


@pytest.fixture
async def house(opened_house: House) -> House:
    """The installation, awake: while tests without a loop ran, its workers stood still and its replicas grew old."""
    await opened_house.fresh()
    return opened_house


class Settings(NamedTuple):
    """Of each service."""

    membership: MembershipSettings
    welfare: WelfareSettings
    events: EventsSettings
    gateway: GatewaySettings


def _settings(urls: dict[str, DatabaseUrls], broker: str, keys: Path) -> Settings:
    common: dict[str, dict[str, Any]] = {
        service: {
            "database_url": urls[service].app,
            "worker_database_url": urls[service].worker,
            "database_pool": 6,
            "kafka_bootstrap": broker,
            "oidc_issuer": ISSUER,
            "oidc_audience": AUDIENCE,
            "oidc_jwks_url": f"{_NOWHERE}/jwks",
            "keys_file": keys,
            "rate_limit_per_minute": 0,
        }
        for service in SERVICES
    }
    return Settings(
        MembershipSettings(**common["membership"]),
        WelfareSettings(**common["welfare"], membership_url="http://membership.test"),
        EventsSettings(**common["events"]),
        GatewaySettings(**common["gateway"]),
    )


def _apps(settings: Settings, issuer: Issuer) -> dict[str, FastAPI]:
    of_membership = membership_app.build(settings.membership, key_source=issuer)
    return {
        "membership": of_membership,
        "welfare": welfare_app.build(
            settings.welfare, key_source=issuer, membership=httpx.ASGITransport(of_membership)
        ),
        "events": events_app.build(settings.events, key_source=issuer),
        "gateway": gateway_app.build(settings.gateway, key_source=issuer),
    }


def _workers(settings: Settings) -> dict[str, Worker]:
    return {
        "membership": Worker("membership", lambda: membership_worker.build(settings.membership)),
        "welfare": Worker("welfare", lambda: welfare_worker.build(settings.welfare)),
        "events": Worker("events", lambda: events_worker.build(settings.events)),
        "gateway": Worker("gateway", lambda: gateway_worker.build(settings.gateway)),
    }


def _keys(folder: Path) -> Path:
    path = folder / "keys.json"
    path.write_bytes(new_ring_json())
    path.chmod(0o600)
    return path
