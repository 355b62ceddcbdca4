"""The HTTP process of a service: its own database role, keys and texts under the application of every service."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI

from shared.composition.ring import key_ring
from shared.database.engine import Database
from shared.database.revisions import newest_migration
from shared.kernel import texts
from shared.kernel.clock import Clock, SystemClock
from shared.settings import ServiceSettings
from shared.web.app import Hook, WebSetup, create_app
from shared.web.caller import PostsReader
from shared.web.health import database_migrated, database_reachable
from shared.web.tokens import KeySource


def service_app(
    service: str,
    settings: ServiceSettings,
    routers: Sequence[APIRouter],
    posts_reader: PostsReader,
    *,
    clock: Clock | None,
    key_source: KeySource | None,
    on_start: Sequence[Hook] = (),
    on_stop: Sequence[Hook] = (),
) -> FastAPI:
    """The application of "membership", whose package is "membership_service"; ready when its newest migration is there.

    `routers` are asked in their order which of them takes a request.
    """
    package = f"{service}_service"
    texts.register(package)
    database = Database(
        settings.database_url, pool_size=settings.database_pool, application_name=f"{service}-http"
    )
    return create_app(
        WebSetup(
            service=service,
            settings=settings,
            database=database,
            routers=routers,
            posts_reader=posts_reader,
            keys=key_ring(settings),
            ready_checks=(
                database_reachable(database),
                database_migrated(database, newest_migration(package)),
            ),
            clock=clock or SystemClock(),
            key_source=key_source,
            on_start=on_start,
            on_stop=on_stop,
        )
    )
