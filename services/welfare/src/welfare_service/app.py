"""Composition root of the HTTP process: `python -m welfare_service.app`."""

from typing import Final

import httpx
from fastapi import APIRouter, FastAPI

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
from welfare_service import work
from welfare_service.cases import api as cases
from welfare_service.consumers import DIRECTORY
from welfare_service.dossiers import api as dossiers
from welfare_service.dossiers import decision_api as dossier_decisions
from welfare_service.funds import api as funds
from welfare_service.membership_client import closing, opening
from welfare_service.payouts import api as payouts
from welfare_service.programmes import api as programmes
from welfare_service.rules import api as rules
from welfare_service.settings import Settings

SERVICE = "welfare"
#: Tables of the aggregates that this service owns and tells others about.
OWNED: Final[tuple[str, ...]] = ("dossiers", "programmes", "cases")
#: What it holds of others' aggregates, for `unionhall verify`.
REPLICAS = {
    kind: Digested(f"SELECT id, sequence AS version FROM directory_{kind}", DIRECTORY)  # noqa: S608 - of the line below
    for kind in ("organisations", "posts", "members")
}

#: Asked in this order which of them takes a request: the busiest first.
ROUTERS: Final[tuple[APIRouter, ...]] = (
    cases.router,
    cases.own_router,
    dossiers.router,
    dossier_decisions.router,
    programmes.router,
    rules.router,
    funds.router,
    payouts.router,
    work.router,
    audit_router(path_of_organisation),
    digest_router(
        {kind: Digested(f"SELECT id, version FROM {kind}") for kind in OWNED} | REPLICAS  # noqa: S608 - of OWNED
    ),
)


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    key_source: KeySource | None = None,
    membership: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """The application. Tests bring a clock that stands still, the public keys of their own issuer and a membership service."""
    texts.register("welfare_service")
    if settings.keys_file is None:
        raise ValueError("keys_file is needed")
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
            keys=KeyRing.load(settings.keys_file),
            ready_checks=(
                database_reachable(database),
                database_migrated(database, newest_migration("welfare_service")),
            ),
            clock=clock or SystemClock(),
            key_source=key_source,
            on_start=(opening(settings.membership_url, membership),),
            on_stop=(closing,),
        )
    )


def main() -> None:
    """Serve until told to stop."""
    settings = load(Settings, *HTTP_NEEDS, "membership_url")
    serve(build(settings), settings, SERVICE)


if __name__ == "__main__":
    main()
