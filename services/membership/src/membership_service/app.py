"""Composition root of the HTTP process: `python -m membership_service.app`."""

from fastapi import FastAPI

from membership_service.audit import api as audit
from membership_service.enterprises import api as enterprises
from membership_service.members import api as members
from membership_service.members.internal import api as internal
from membership_service.members.transfers import api as transfers
from membership_service.organisations import api as organisations
from membership_service.posts import api as posts
from membership_service.posts.use_cases import posts_reader
from membership_service.rosters import api as rosters
from membership_service.settings import Settings
from shared.composition.http import service_app
from shared.kernel.clock import Clock, SystemClock
from shared.settings import HTTP_NEEDS, load
from shared.web.app import serve
from shared.web.digest import digest_router, owned
from shared.web.tokens import KeySource

SERVICE = "membership"

#: Asked in this order which of them takes a request: the busiest first.
ROUTERS = (
    members.router,
    organisations.router,
    enterprises.router,
    enterprises.rates_router,
    posts.router,
    posts.me_router,
    members.own_router,
    transfers.router,
    transfers.member_router,
    transfers.own_router,
    internal.router,
    internal.work_router,
    rosters.router,
    audit.router,
    digest_router(owned("organisations", "enterprises", "posts", "members")),
)


def build(settings: Settings, *, clock: Clock | None = None, key_source: KeySource | None = None) -> FastAPI:
    """The application. Tests bring a clock that stands still and the public keys of their own issuer."""
    clock = clock or SystemClock()
    return service_app(SERVICE, settings, ROUTERS, posts_reader(clock), clock=clock, key_source=key_source)


def main() -> None:
    """Serve until told to stop."""
    settings = load(Settings, *HTTP_NEEDS)
    serve(build(settings), settings, SERVICE)


if __name__ == "__main__":
    main()
