"""Composition root of the gateway's HTTP process: `python -m gateway_service.app`."""

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import FastAPI

from gateway_service.case_page import api as case_page
from gateway_service.consumers import DIRECTORY, VIEWS
from gateway_service.dashboard import api as dashboard
from gateway_service.facts import api as facts
from gateway_service.identity import api as identity
from gateway_service.live import api as live
from gateway_service.live.hub import LiveHub
from gateway_service.overview import api as overview
from gateway_service.portal import api as portal
from gateway_service.proxy import api as proxy
from gateway_service.proxy.documents import OwnersDocuments, merge
from gateway_service.proxy.forwarding import http_client
from gateway_service.settings import Settings
from gateway_service.work import api as work
from shared.composition.http import service_app
from shared.contracts.events_service import ACTIVITIES, REGISTRATIONS
from shared.contracts.welfare import CASES
from shared.directory.posts import replica_posts_reader
from shared.kernel.clock import Clock
from shared.settings import HTTP_NEEDS, load
from shared.web.app import serve
from shared.web.digest import Digested, digest_router, replicated
from shared.web.tokens import KeySource

SERVICE = "gateway"

#: What this service holds of others' aggregates, for `unionhall verify`.
REPLICAS = (
    replicated(DIRECTORY, "organisations", "posts")
    | {
        "members": Digested("SELECT member_id AS id, sequence AS version FROM member_places", VIEWS),
        "programmes": Digested("SELECT id, sequence AS version FROM programme_names", VIEWS),
    }
    | {
        topic.name.split(".")[2]: Digested(
            f"""
        SELECT id, sequence AS version FROM dashboard_weighed
        WHERE slot = (SELECT live FROM dashboard_state) AND topic = '{topic.name}'
        """,  # noqa: S608 - a constant of the contracts
            VIEWS,
        )
        for topic in (CASES, ACTIVITIES, REGISTRATIONS)
    }
)

#: Asked in this order which of them takes a request: what is not the gateway's own is passed on.
ROUTERS = (
    dashboard.router,
    facts.router,
    live.router,
    overview.router,
    case_page.router,
    work.router,
    proxy.audit_router,
    digest_router(REPLICAS),
    portal.router,
    identity.router,
    proxy.router,
)


def build(settings: Settings, *, clock: Clock | None = None, key_source: KeySource | None = None) -> FastAPI:
    """The application. Tests bring a clock that stands still and the public keys of their own issuer."""
    app = service_app(
        SERVICE,
        settings,
        ROUTERS,
        replica_posts_reader(DIRECTORY),
        clock=clock,
        key_source=key_source,
        on_start=(_start,),
        on_stop=(_stop,),
    )
    app.state.settings = settings
    app.state.owners = {
        "membership": settings.membership_url,
        "welfare": settings.welfare_url,
        "events": settings.events_url,
    }
    _merge_documents(app)
    return app


def _merge_documents(app: FastAPI) -> None:
    own = app.openapi

    def merged() -> dict[str, Any]:
        return merge(own(), app.state.documents.documents)

    app.openapi = merged  # type: ignore[method-assign]


async def _start(app: FastAPI) -> None:
    app.state.http_client = http_client()
    app.state.documents = OwnersDocuments(app.state.http_client, app.state.owners)
    app.state.documents_task = asyncio.create_task(app.state.documents.keep_fresh())
    app.state.live = LiveHub(app.state.settings.database_url)
    await app.state.live.start()


async def _stop(app: FastAPI) -> None:
    app.state.documents_task.cancel()
    with suppress(asyncio.CancelledError):
        await app.state.documents_task
    await app.state.live.stop()
    await app.state.http_client.close()


if __name__ == "__main__":
    process_settings = load(
        Settings, *HTTP_NEEDS, "membership_url", "welfare_url", "events_url", "identity_url"
    )
    serve(build(process_settings), process_settings, SERVICE)
