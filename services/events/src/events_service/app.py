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
from shared.composition.http import service_app
from shared.directory.organisations import path_of_organisation
from shared.directory.posts import replica_posts_reader
from shared.kernel.clock import Clock
from shared.settings import HTTP_NEEDS, load
from shared.web.app import serve
from shared.web.audit import audit_router
from shared.web.digest import digest_router, owned, replicated
from shared.web.tokens import KeySource

SERVICE = "events"

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
        owned("activities", "registrations") | replicated(DIRECTORY, "organisations", "posts", "members")
    ),
)


def build(settings: Settings, *, clock: Clock | None = None, key_source: KeySource | None = None) -> FastAPI:
    """The application. Tests bring a clock that stands still and the public keys of their own issuer."""
    app = service_app(
        SERVICE, settings, ROUTERS, replica_posts_reader(DIRECTORY), clock=clock, key_source=key_source
    )
    opening.tell("lottery", commit_seeds(app.state.keys, os.urandom))
    return app


def main() -> None:
    """Serve until told to stop."""
    settings = load(Settings, *HTTP_NEEDS)
    serve(build(settings), settings, SERVICE)


if __name__ == "__main__":
    main()
