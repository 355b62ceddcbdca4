"""Composition root of the HTTP process: `python -m welfare_service.app`."""

from typing import Final

import httpx
from fastapi import APIRouter, FastAPI

from shared.composition.http import service_app
from shared.directory.organisations import path_of_organisation
from shared.directory.posts import replica_posts_reader
from shared.kernel.clock import Clock
from shared.settings import HTTP_NEEDS, load
from shared.web.app import serve
from shared.web.audit import audit_router
from shared.web.digest import digest_router, owned, replicated
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

#: Asked in this order which of them takes a request: the busiest first.
ROUTERS: Final[tuple[APIRouter, ...]] = (
    cases.router,
    cases.own_router,
    dossiers.router,
    dossier_decisions.router,
    programmes.router,
    programmes.own_router,
    rules.router,
    funds.router,
    payouts.router,
    work.router,
    audit_router(path_of_organisation),
    digest_router(
        owned("dossiers", "programmes", "cases") | replicated(DIRECTORY, "organisations", "posts", "members")
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
    return service_app(
        SERVICE,
        settings,
        ROUTERS,
        replica_posts_reader(DIRECTORY),
        clock=clock,
        key_source=key_source,
        on_start=(opening(settings.membership_url, membership),),
        on_stop=(closing,),
    )


def main() -> None:
    """Serve until told to stop."""
    settings = load(Settings, *HTTP_NEEDS, "membership_url")
    serve(build(settings), settings, SERVICE)


if __name__ == "__main__":
    main()
