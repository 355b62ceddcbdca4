"""A gateway on a database of its own, and an owner behind it that does what a test tells it to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway_service.app import build
from gateway_service.settings import Settings
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.testing.databases import DatabaseFactory
from tests.support.service import on_a_port
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

Answer = Callable[[Request], Awaitable[Response]]


@dataclass
class Owner:
    """A service behind the gateway. `answer` may be replaced; `seen` are the requests it got."""

    url: str = ""
    seen: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answer: Answer | None = None

    async def handle(self, request: Request) -> Response:
        self.seen.append(dict(request.headers) | {"path": request.scope["path"], "query": request.url.query})
        if self.answer:
            return await self.answer(request)
        self.bodies.append(await request.body())
        return JSONResponse({"owner": "membership"}, headers={"etag": '"3"', "x-request-id": "theirs"})


@pytest.fixture
async def owner() -> AsyncIterator[Owner]:
    owner = Owner()
    methods = ["GET", "POST", "PATCH", "DELETE"]
    async with on_a_port(Starlette(routes=[Route("/{rest:path}", owner.handle, methods=methods)])) as url:
        owner.url = url
        yield owner


@pytest.fixture
def urls(make_database: DatabaseFactory) -> DatabaseUrls:
    return make_database("gateway")


@pytest.fixture
async def worker(urls: DatabaseUrls) -> AsyncIterator[Database]:
    database = Database(urls.worker, pool_size=2, application_name="test")
    yield database
    await database.close()


@pytest.fixture
async def gateway(
    urls: DatabaseUrls, owner: Owner, issuer: Issuer, keys_file: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway, not signed in."""
    settings = Settings(
        database_url=urls.app,
        oidc_issuer=ISSUER,
        oidc_audience=AUDIENCE,
        oidc_jwks_url="http://127.0.0.1:9/none",
        keys_file=keys_file,
        membership_url=owner.url,
        welfare_url=owner.url,
        events_url=owner.url,
        identity_url=f"{owner.url}/identity",
        owner_deadline=0.5,
        composed_deadline=0.5,
    )
    app = build(settings, key_source=issuer)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            yield client
