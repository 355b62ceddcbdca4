"""All processes together: sign in through the gateway's own origin, and survive `kill -9` of each."""

from functools import partial

import httpx
import pytest

from local_stack import plan
from local_stack.users import demo_users
from shared.testing import Eventually
from tests.support.stack import RunningStack

SERVERS = {"postgres", "kafka", "issuer", "bank"}
SERVICES = {name for service in plan.SERVICES for name in (service, f"{service}-worker")}


def test_every_process_runs_and_the_status_begins_with_the_gateway(stack: RunningStack) -> None:
    found = stack.status
    assert found.phase == "running"
    assert {process.name for process in found.processes} == SERVERS | SERVICES
    assert next(iter(vars(found))) == "gateway"


async def test_the_gateway_is_the_issuer_s_origin(stack: RunningStack) -> None:
    async with httpx.AsyncClient(base_url=stack.status.gateway, trust_env=False) as http:
        found = (await http.get("/identity/.well-known/openid-configuration")).json()
        assert found["issuer"] == f"{stack.status.gateway}/identity"
        assert (await http.get("/api/v1/me")).status_code == 401
    async with stack.client("auditor") as http:
        me = await http.get("/api/v1/me")
    assert me.status_code == 200, me.text
    assert me.json()["issuer"] == found["issuer"]
    assert me.json()["subject"] == next(user.subject for user in demo_users() if user.username == "auditor")


@pytest.mark.timeout(240)
async def test_whatever_is_killed_comes_back(stack: RunningStack, eventually: Eventually) -> None:
    for name in sorted(SERVERS | SERVICES):
        killed = stack.kill(name)
        await eventually(partial(stack.is_back, name, killed), timeout=60)
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:

        async def ready() -> bool:
            ports = (stack.status.ports[name] for name in SERVICES)
            return all(
                [(await http.get(f"http://127.0.0.1:{port}/health/ready")).is_success for port in ports]
            )

        await eventually(ready, timeout=60)
    async with stack.client("auditor") as client:
        me = await client.get("/api/v1/me")
    assert me.status_code == 200, me.text
