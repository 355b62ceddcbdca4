"""`make k8s-test`: the product on a real cluster, worked with, updated and disturbed under traffic; a table of what it cost.

Without a cluster it says SKIPPED, and is a failure unless ALLOW_SKIP=1.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from shared.testing.waiting import eventually
from tests.compose import smoke
from tests.faults.office import Office, opened_office
from tests.k8s.cluster import ADMINISTRATOR, Cluster, ClusterFailed, answers, installed
from tests.k8s.manifests import ROOT
from tests.support.tokens import ISSUER

#: Seconds between two people who join, while pods are replaced.
PAUSE = 0.2
#: An image that is nowhere: its pods never become ready, and the old ones stay.
BAD_IMAGE = "unionhall/gateway:none"


@dataclass
class Trial:
    """One run and its table."""

    cluster: Cluster
    office: Office
    joined: int = 0
    rows: list[tuple[str, float, int, list[str]]] = field(default_factory=list)

    async def step(self, name: str, change: Callable[[], None], *, may_fail: bool = False) -> None:
        """Do it while people work; note the time, the requests meanwhile and those that failed."""
        began, asked, failed = time.monotonic(), self.cluster.requests, len(self.cluster.failures)
        async with self._work():
            await asyncio.to_thread(change)
        failures = self.cluster.failures[failed:]
        self.rows.append((name, time.monotonic() - began, self.cluster.requests - asked, failures))
        print(
            f"{name}: {time.monotonic() - began:.0f} s, {self.cluster.requests - asked} requests, {len(failures)} failed",
            flush=True,
        )
        assert may_fail or not failures, f"{name}: {failures[:5]}"

    @asynccontextmanager
    async def _work(self) -> AsyncIterator[None]:
        ended = asyncio.Event()
        working = asyncio.create_task(self._join_until(ended))
        try:
            yield
        finally:
            ended.set()
            await working

    async def _join_until(self, ended: asyncio.Event) -> None:
        while not ended.is_set():
            await self.office.member()
            self.joined += 1
            await asyncio.sleep(PAUSE)

    async def books_agree(self, before: int) -> None:
        """Everybody who joined is counted, once."""
        await eventually(partial(smoke._dashboard_shows, self.office, before + self.joined), 120, every=1)


def main() -> int:
    """0 when every step passed."""
    if not answers():
        print("SKIPPED k8s-test: no cluster answers kubectl")
        return 0 if os.environ.get("ALLOW_SKIP") == "1" else 1
    began = time.monotonic()
    try:
        with installed() as cluster:
            print(f"up after {time.monotonic() - began:.0f} s", flush=True)
            asyncio.run(_try(cluster))
    except AssertionError as failure:
        print(f"FAILED k8s-test: {failure}")
        return 1
    print(f"passed k8s-test in {time.monotonic() - began:.0f} s")
    return 0


async def _try(cluster: Cluster) -> None:
    root = await asyncio.to_thread(cluster.bootstrap)
    async with opened_office(cluster.user, ADMINISTRATOR, ISSUER, root) as office:
        async for said in smoke.steps(office):
            print(f"  {said}", flush=True)
        trial = Trial(cluster, office)
        for name in await asyncio.to_thread(cluster.deployments):
            await trial.step(f"update of {name}", partial(_replace, cluster, name))
        await trial.step("a bad image, held back and undone", partial(_bad_image, cluster))
        await trial.step("two evictions", partial(_evictions, cluster))
        await trial.step("workers 1, 3, 1", partial(_scaled, cluster))
        for label in ("membership", "gateway"):
            await trial.step(f"a pod of {label}-http killed", partial(_killed, cluster, label), may_fail=True)
        for name in ("kafka", "postgres"):
            await trial.step(f"the pod of {name} replaced", partial(_server, cluster, name), may_fail=True)
        await trial.books_agree(smoke.GOOD + 1)
        print(f"{trial.joined} people joined, and all are counted once")


def _replace(cluster: Cluster, name: str) -> None:
    cluster.kubectl("rollout", "restart", name)
    cluster.rolled_out(name)


def _bad_image(cluster: Cluster) -> None:
    cluster.kubectl("set", "image", "deploy/gateway-http", f"service={BAD_IMAGE}")
    try:
        cluster.kubectl("rollout", "status", "deploy/gateway-http", "--timeout=15s")
    except ClusterFailed:
        cluster.kubectl("rollout", "undo", "deploy/gateway-http")
        cluster.rolled_out("deploy/gateway-http")
    else:
        raise AssertionError("an image that does not exist was rolled out")


def _evictions(cluster: Cluster) -> None:
    """The second is refused until the place of the first is taken."""
    first, second = (
        pod["metadata"]["name"]
        for pod in cluster.pods("app.kubernetes.io/name=membership", "app.kubernetes.io/component=http")
    )
    assert cluster.evict(first), "the first eviction was refused"
    assert not cluster.evict(second), "both pods of a service could be evicted at once"
    cluster.rolled_out("deploy/membership-http")
    deadline = time.monotonic() + 60
    while not cluster.evict(second):
        assert time.monotonic() < deadline, (
            "the second eviction was refused for a minute after the first place was taken"
        )
        time.sleep(1)
    cluster.rolled_out("deploy/membership-http")


def _scaled(cluster: Cluster) -> None:
    for count in (3, 1):
        cluster.kubectl("scale", "deploy/gateway-worker", f"--replicas={count}")
        cluster.rolled_out("deploy/gateway-worker")
        time.sleep(10)


def _killed(cluster: Cluster, service: str) -> None:
    pod, *_ = cluster.pods(f"app.kubernetes.io/name={service}", "app.kubernetes.io/component=http")
    cluster.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
    cluster.rolled_out(f"deploy/{service}-http")


def _server(cluster: Cluster, name: str) -> None:
    cluster.kubectl("delete", "pod", f"{name}-0")
    cluster.rolled_out(f"statefulset/{name}")


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
