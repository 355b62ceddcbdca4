"""What the trial on a cluster counts, and that a step cannot pass by leaving something out."""

import asyncio
from typing import Any, cast

import httpx
import pytest

from tests.k8s.cluster import Cluster, Counting
from tests.k8s.trial import Step, Trial, steps
from tests.k8s.work import Work

DEPLOYMENTS = ["deployment.apps/membership-http", "deployment.apps/gateway-worker"]


class Idle(Work):
    """Nobody works."""

    async def until(self, ended: asyncio.Event) -> None:
        """Wait for the end."""
        await ended.wait()


def trial() -> Trial:
    """At no cluster."""
    return Trial(Cluster(), Idle(cast("Any", None), None))


def loses_a_request(cluster: Cluster) -> None:
    """As a pod does that is gone too early."""
    cluster.requests += 1
    cluster.failures.append("GET /me: ReadError")


def breaks(_: Cluster) -> None:
    """As a command does that fails."""
    raise AssertionError("kubectl rollout status: timed out\nthe pods")


def test_every_deployment_is_updated_and_killed() -> None:
    names = [step.name for step in steps(DEPLOYMENTS)]
    assert {f"update of {name.rpartition('/')[2]}" for name in DEPLOYMENTS} <= set(names)
    assert {f"a pod of {name.rpartition('/')[2]} killed" for name in DEPLOYMENTS} <= set(names)
    assert len(names) == len(set(names))


def test_requests_may_fail_only_while_something_is_killed() -> None:
    allowed = {step.name.rpartition(" ")[2] for step in steps(DEPLOYMENTS) if step.may_fail}
    assert allowed == {"killed", "replaced"}


@pytest.mark.parametrize(("may_fail", "problem"), [(False, True), (True, False)])
async def test_a_lost_request_fails_its_step(*, may_fail: bool, problem: bool) -> None:
    run = trial()
    await run.step(Step("an update", loses_a_request, may_fail=may_fail))
    (row,) = run.rows
    assert (row.requests, row.failed, bool(row.problem)) == (1, 1, problem)


async def test_the_run_goes_on_after_a_step_that_failed() -> None:
    run = trial()
    await run.step(Step("an update", breaks))
    await run.step(Step("nothing", lambda _: None))
    assert [bool(row.problem) for row in run.rows] == [True, False]
    assert "timed out" in str(run.rows[0])
    assert "\n" not in str(run.rows[0])


@pytest.mark.parametrize(("status", "failures"), [(200, 0), (404, 0), (502, 1), (503, 1)])
async def test_answers_of_the_server_s_own_fault_are_counted(
    status: int, failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answered(*_: object) -> httpx.Response:
        return httpx.Response(status, json={})

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answered)
    cluster = Cluster()
    async with httpx.AsyncClient(transport=Counting(cluster)) as client:
        await client.get("http://gateway.test/api/v1/me")
    assert (cluster.requests, len(cluster.failures)) == (1, failures)


async def test_no_answer_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> httpx.Response:
        raise httpx.ReadError("closed")

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", broken)
    cluster = Cluster()
    async with httpx.AsyncClient(transport=Counting(cluster)) as client:
        with pytest.raises(httpx.ReadError):
            await client.get("http://gateway.test/api/v1/me")
    assert (cluster.requests, cluster.failures) == (1, ["GET /api/v1/me: ReadError"])
