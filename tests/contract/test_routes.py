"""What a service serves under /api/v1 is reached through the gateway, and nothing else of it is."""

from fastapi.routing import APIRoute

from gateway_service.proxy.domain import OWNERS
from membership_service.app import ROUTERS, SERVICE

SERVED = sorted({route.path for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)})


def test_every_public_route_of_membership_is_passed_on() -> None:
    public = [path for path in SERVED if path.startswith("/api/v1/")]
    assert len(public) > 30
    assert [path for path in public if OWNERS.get(path.split("/")[3]) != SERVICE] == []


def test_the_gateway_passes_nothing_on_that_nobody_serves() -> None:
    served = {path.split("/")[3] for path in SERVED if path.startswith("/api/v1/")}
    assert {segment for segment, owner in OWNERS.items() if owner == SERVICE} == served
