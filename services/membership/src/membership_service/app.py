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
from shared.database.engine import Database
from shared.database.revisions import newest_migration
from shared.kernel import texts
from shared.kernel.clock import Clock, SystemClock
from shared.security.keys import KeyRing
from shared.settings import HTTP_NEEDS, load
from shared.web.app import WebSetup, create_app, serve
from shared.web.digest import Digested, digest_router
from shared.web.health import database_migrated, database_reachable
from shared.web.tokens import KeySource

SERVICE = "membership"
#: Tables of the aggregates that this service owns and tells others about.
OWNED = ("organisations", "enterprises", "posts", "members")

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
    digest_router({kind: Digested(f"SELECT id, version FROM {kind}") for kind in OWNED}),  # noqa: S608 - of the line above
)


def build(settings: Settings, *, clock: Clock | None = None, key_source: KeySource | None = None) -> FastAPI:
    """The application. Tests bring a clock that stands still and the public keys of their own issuer."""
    texts.register("membership_service")
    if settings.keys_file is None:
        raise ValueError("keys_file is needed")
    clock = clock or SystemClock()
    database = Database(
        settings.database_url, pool_size=settings.database_pool, application_name=f"{SERVICE}-http"
    )
    return create_app(
        WebSetup(
            service=SERVICE,
            settings=settings,
            database=database,
            routers=ROUTERS,
            posts_reader=posts_reader(clock),
            keys=KeyRing.load(settings.keys_file),
            ready_checks=(
                database_reachable(database),
                database_migrated(database, newest_migration("membership_service")),
            ),
            clock=clock,
            key_source=key_source,
        )
    )


def main() -> None:
    """Serve until told to stop."""
    settings = load(Settings, *HTTP_NEEDS)
    serve(build(settings), settings, SERVICE)


if __name__ == "__main__":
    main()
