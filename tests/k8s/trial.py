"""`make k8s-test`: the product on a real cluster, worked with, updated and disturbed under traffic; a table of what it cost.

Writes `build/k8s.json`. ARGS names some steps by words in their names. Without a cluster it says SKIPPED, and is a failure
unless ALLOW_SKIP=1.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Final

import httpx

from shared.testing.waiting import eventually
from tests.compose import smoke
from tests.faults.office import opened_office
from tests.k8s import changes
from tests.k8s.cluster import ADMINISTRATOR, GATEWAY, NEXT, PATIENCE, Cluster, answers, installed, overlay
from tests.k8s.half_way import migration_fails_half_way
from tests.k8s.manifests import ROOT
from tests.k8s.work import Work
from tests.support.tokens import ISSUER
from tests.support.verifying import breaches

REPORT: Final = ROOT / "build/k8s.json"
#: A change to the cluster that returns when all is well again.
Change = Callable[[Cluster], None]


@dataclass
class Row:
    """A line of the table."""

    step: str
    seconds: float
    requests: int = 0
    failed: int = 0
    slowest: float = 0.0
    problem: str = ""

    def __str__(self) -> str:
        """As the table has it."""
        told = f"| {self.step} | {self.seconds:.0f} | {self.requests} | {self.failed} | {self.slowest:.1f} |"
        return f"{told} {self.problem.splitlines()[0][:300] if self.problem else 'passed'} |"


@dataclass(frozen=True)
class Step:
    """A change; whether requests may fail in it: one that was being answered by what is killed is lost."""

    name: str
    change: Change
    may_fail: bool = False


@dataclass
class Trial:
    """One run and its table."""

    cluster: Cluster
    work: Work
    rows: list[Row] = field(default_factory=list)

    async def step(self, step: Step) -> None:
        """Do it while people work; note the time, the requests and those that failed. After a failure the run goes on."""
        began, asked, failed = time.monotonic(), self.cluster.requests, len(self.cluster.failures)
        self.cluster.slowest = 0.0
        problem = ""
        try:
            async with self._working():
                await asyncio.to_thread(step.change, self.cluster)
        except (AssertionError, ExceptionGroup, subprocess.SubprocessError, httpx.HTTPError) as trouble:
            problem = _told(trouble)
        failures = self.cluster.failures[failed:]
        if failures and not step.may_fail:
            problem = problem or f"requests failed: {failures[:5]}"
        row = Row(
            step.name, time.monotonic() - began, self.cluster.requests - asked, len(failures),
            self.cluster.slowest, problem,
        )  # fmt: skip
        self.note(row)
        for line in [*problem.splitlines()[1:], *failures[:10]]:
            print(f"    {line}", flush=True)

    def note(self, row: Row) -> None:
        """A line more."""
        self.rows.append(row)
        print(row, flush=True)

    @asynccontextmanager
    async def _working(self) -> AsyncIterator[None]:
        ended = asyncio.Event()
        working = asyncio.create_task(self.work.until(ended))
        try:
            yield
        finally:
            ended.set()
            await working

    async def books_agree(self) -> None:
        """Whatever was acknowledged is there once, counted once, and the same everywhere."""
        began, work = time.monotonic(), self.work
        problem = ""
        try:
            members = smoke.GOOD + 1 + work.joined
            await eventually(partial(smoke._dashboard_shows, work.office, members), PATIENCE, every=1)
            counted = {
                table: int(
                    await asyncio.to_thread(self.cluster.sql, service, f"SELECT count(*) FROM {table}")
                )
                for service, table in (
                    ("membership", "members"),
                    ("welfare", "cases"),
                    ("events", "registrations"),
                )
            }
            expected = {
                "members": members,
                "cases": 1 + work.helped,
                "registrations": 1 + work.registered,
            }
            assert counted == expected, f"acknowledged {expected}, found {counted}"
            found = await asyncio.to_thread(breaches, self.cluster, PATIENCE)
            assert not found, found
        except (AssertionError, subprocess.SubprocessError) as trouble:
            problem = _told(trouble)
        name = f"{work.joined} joined, {work.helped} asked for aid, {work.registered} registered: each once, the same everywhere"
        self.note(Row(name, time.monotonic() - began, problem=problem))


def steps(deployments: Sequence[str]) -> Iterator[Step]:
    """All of them, in the order of the table."""
    plain = {name: name.rpartition("/")[2] for name in deployments}
    yield Step("nothing", lambda _: time.sleep(15))
    yield Step("a migration fails half-way and is retried", migration_fails_half_way)
    yield Step("servers and jobs of the next version", _next_jobs)
    for name, said in plain.items():
        yield Step(f"update of {said}", partial(changes.update, name=name, version=NEXT))
    yield Step("a bad image, held back and undone", changes.bad_image)
    yield Step("two evictions", changes.evictions)
    yield Step("workers 1, 3, 1", changes.scaled)
    yield Step("token keys rotated", changes.token_keys_rotated)
    yield Step("a key-encryption key added", changes.key_added)
    yield Step("all wrapped anew", changes.rewrapped)
    yield Step("the old key-encryption key removed", changes.key_removed)
    yield Step("a token under the old key is refused", _old_token)
    for name, said in plain.items():
        yield Step(f"a pod of {said} killed", partial(changes.killed, name=name), may_fail=True)
    for name in ("kafka", "postgres"):
        yield Step(f"the pod of {name} replaced", partial(changes.server_replaced, name=name), may_fail=True)


def main(argv: Sequence[str]) -> int:
    """0 when every step passed."""
    if not answers():
        print("SKIPPED k8s-test: no cluster answers kubectl")
        return 0 if os.environ.get("ALLOW_SKIP") == "1" else 1
    began = time.monotonic()
    rows: list[Row] = []
    try:
        with installed() as cluster:
            rows.append(Row("up from nothing, migrations first", time.monotonic() - began))
            print(rows[0], flush=True)
            asyncio.run(tried(cluster, argv, rows))
    except (AssertionError, subprocess.SubprocessError) as trouble:
        rows.append(Row("the run", time.monotonic() - began, problem=_told(trouble)))
        print(_told(trouble))
    REPORT.write_text(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n", "utf-8")
    print("\n| step | s | requests | failed | slowest, s | |\n|---|---|---|---|---|---|")
    print("\n".join(map(str, rows)))
    bad = [row.step for row in rows if row.problem]
    print(
        f"{'FAILED' if bad else 'passed'} k8s-test in {time.monotonic() - began:.0f} s: {', '.join(bad) or 'all'}"
    )
    return 1 if bad else 0


async def tried(cluster: Cluster, wanted: Sequence[str], rows: list[Row]) -> None:
    """The smoke, the steps, the books."""
    began = time.monotonic()
    root = await asyncio.to_thread(cluster.bootstrap)
    async with opened_office(cluster.user, ADMINISTRATOR, ISSUER, root) as office:
        office.patience = PATIENCE
        async for said in smoke.steps(office):
            print(f"  {said}", flush=True)
        activity = await office.activity(100_000)
        trial = Trial(cluster, Work(office, activity), rows)
        failures = list(cluster.failures)
        trial.note(
            Row(
                "smoke",
                time.monotonic() - began,
                cluster.requests,
                len(failures),
                cluster.slowest,
                "; ".join(failures),
            )
        )
        for step in steps(await asyncio.to_thread(cluster.deployments)):
            if not wanted or any(word in step.name for word in wanted):
                await trial.step(step)
        await trial.books_agree()


def _next_jobs(cluster: Cluster) -> None:
    cluster.do_first(overlay(NEXT))


def _old_token(cluster: Cluster) -> None:
    """Every process was started after the old key was withdrawn."""
    old = cluster.issuer.token_for(ADMINISTRATOR)
    reply = httpx.get(f"{GATEWAY}/api/v1/me", headers={"Authorization": f"Bearer {old}"}, timeout=30)
    assert reply.status_code == httpx.codes.UNAUTHORIZED, reply.status_code


def _told(trouble: BaseException) -> str:
    if isinstance(trouble, BaseExceptionGroup):
        return "; ".join(map(_told, trouble.exceptions))
    return f"{type(trouble).__name__}: {trouble}"


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))
