"""What a service serves under /api/v1 is reached through the gateway, and nothing else of it is."""

from types import ModuleType

import pytest
from fastapi.routing import APIRoute

import events_service.app
import membership_service.app
import welfare_service.app
from gateway_service.proxy.domain import OWNERS, owner_of

SERVICES = (membership_service.app, welfare_service.app, events_service.app)
_PUBLIC = "/api/v1/"


def public_routes(service: ModuleType) -> list[str]:
    """Paths below /api/v1 that a service serves."""
    routes = [route for router in service.ROUTERS for route in router.routes]
    return sorted(
        {route.path for route in routes if isinstance(route, APIRoute) and route.path.startswith(_PUBLIC)}
    )


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.SERVICE)
def test_every_public_route_is_passed_on_to_who_serves_it(service: ModuleType) -> None:
    astray = [path for path in public_routes(service) if owner_of(path) != service.SERVICE]
    # Everybody keeps an audit; whose is read, a parameter says (gateway_service.proxy.api).
    assert set(astray) <= {"/api/v1/audit"}


@pytest.mark.parametrize("prefix", OWNERS)
def test_the_gateway_passes_nothing_on_that_nobody_serves(prefix: str) -> None:
    (owner,) = [service for service in SERVICES if OWNERS[prefix] == service.SERVICE]
    served = [f"{path}/" for path in public_routes(owner)]
    assert [path for path in served if path.startswith(f"{_PUBLIC}{prefix}/")]


def test_every_other_route_is_internal() -> None:
    for service in SERVICES:
        paths = {
            route.path for router in service.ROUTERS for route in router.routes if isinstance(route, APIRoute)
        }
        others = {path for path in paths if not path.startswith(_PUBLIC)}
        assert {path for path in others if not path.startswith("/internal/v1/")} == set()
    assert len(public_routes(membership_service.app)) > 30
