"""What the tests of every service stand on: settings for a database of its own, and a client of the real application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from shared.database.provision import DatabaseUrls
from shared.security.keys import new_ring_json
from tests.support.tokens import AUDIENCE, ISSUER


def new_keys_file(folder: Path) -> Path:
    """A fresh key ring, as a service reads it."""
    path = folder / "keys.json"
    path.write_bytes(new_ring_json())
    path.chmod(0o600)
    return path


def settings_of(urls: DatabaseUrls, keys_file: Path) -> dict[str, Any]:
    """Settings of a service that knows the tests' issuer, whose keys it is given, and limits nobody."""
    return {
        "database_url": urls.app,
        "worker_database_url": urls.worker,
        "database_pool": 8,
        "oidc_issuer": ISSUER,
        "oidc_audience": AUDIENCE,
        "oidc_jwks_url": "http://127.0.0.1:9/jwks",
        "keys_file": keys_file,
        "rate_limit_per_minute": 0,
    }


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running application, not signed in. What the application raises comes out in the test."""
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service.test") as client,
    ):
        yield client


@asynccontextmanager
async def on_a_port(app: ASGIApp) -> AsyncIterator[str]:
    """An application served on a port of its own; its address. Whoever made it runs its lifespan."""
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn sets a flag
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
