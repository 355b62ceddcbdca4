"""Composition root of the HTTP process: `python -m events_service.app`."""

import os
from typing import Final

from fastapi import APIRouter, FastAPI

from events_service import work
from events_service.activities import api as activities
from events_service.activities import opening
from events_service.calendars import api as calendars
from events_service.checkins import api as checkins
from events_service.consumers import DIRECTORY
from events_service.feedback import api as feedback
from events_service.lottery import api as lottery
from events_service.lottery.use_cases import commit_seeds
from events_service.registrations import api as registrations
from events_service.settings import Settings
from shared.database.engine import Database
from shared.database.revisions import newest_migration
from shared.directory.organisations import path_of_organisation
from shared.directory.posts import replica_posts_reader
from shared.kernel import texts
from shared.kernel.clock import Clock, SystemClock
from shared.security.keys import KeyRing
from shared.settings import HTTP_NEEDS, load
from shared.web.app import WebSetup, create_app, serve
from shared.web.audit import audit_router
from shared.web.digest import Digested, digest_router
from shared.web.health import database_migrated, database_reachable
from shared.web.tokens import KeySource

SERVICE = "events"
#: Tables of the aggregates that this service owns and tells others about.
OWNED: Final[tuple[str, ...]] = ("activities", "registrations")
#: What it holds of others' aggregates, for `unionhall verify`.
REPLICAS = {
    kind: Digested(f"SELECT id, sequence AS version FROM directory_{kind}", DIRECTORY)  # noqa: S608 - of the line below
    for kind in ("organisations", "posts", "members")
}

#: Asked in this order which of them takes a request: the busiest first.
ROUTERS: Final[tuple[APIRouter, ...]] = (
    registrations.activity_router,
    registrations.router,
    registrations.own_router,
    activities.router,
    activities.own_router,
    checkins.own_router,
    checkins.router,
    feedback.registrations_router,
    feedback.router,
    lottery.router,
    calendars.router,
    calendars.own_router,
    work.router,
    audit_router(path_of_organisation),
    digest_router(
        {kind: Digested(f"SELECT id, version FROM {kind}") for kind in OWNED} | REPLICAS  # noqa: S608 - of OWNED
    ),
)


def build(settings: Settings, *, clock: Clock | None = None, key_source: KeySource | None = None) -> FastAPI:
    """The application. Tests bring a clock that stands still and the public keys of their own issuer."""
    texts.register("events_service")
    if settings.keys_file is None:
        raise ValueError("keys_file is needed")
    keys = KeyRing.load(settings.keys_file)
    opening.tell("lottery", commit_seeds(keys, os.urandom))
    database = Database(
        settings.database_url, pool_size=settings.database_pool, application_name=f"{SERVICE}-http"
    )
    return create_app(
        WebSetup(
            service=SERVICE,
            settings=settings,
            database=database,
            routers=ROUTERS,
            posts_reader=replica_posts_reader(DIRECTORY),
            keys=keys,
            ready_checks=(
                database_reachable(database),
                database_migrated(database, newest_migration("events_service")),
            ),
            clock=clock or SystemClock(),
            key_source=key_source,
        )
    )


def main() -> None:
    """Serve until told to stop."""
    settings = load(Settings, *HTTP_NEEDS)
    serve(build(settings), settings, SERVICE)


if __name__ == "__main__":
    main()
