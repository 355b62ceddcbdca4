"""`python -m tests.compose.faults`: everything is killed once while people work, and nothing of what they did is lost.

Every container once, PostgreSQL and Kafka stopped and started, all taken down and up again; then the books are compared, and
`down --volumes` leaves nothing. Prints a table. Needs an engine, as compose-test does.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_stack.plan import SERVICES
from local_stack.processes import free_port
from shared.testing.waiting import eventually
from tests.compose import smoke
from tests.compose.installation import (
    ADMINISTRATOR,
    DOCKER,
    FILES,
    Composed,
    ComposeFailed,
    engine_answers,
    temporary,
)
from tests.faults.office import Office, opened_office
from tests.soak.ledger import Ledger
from tests.soak.lives import Lives
from tests.support.tokens import ISSUER
from tests.support.verifying import breaches

#: Gateway first, so that the worst for people comes early; then what everything stands on.
CONTAINERS = (*reversed([name for one in SERVICES for name in (one, f"{one}-worker")]), "kafka", "postgres")
#: Seconds until a killed container is ready again; until its work has gone on for a while; of a stop.
BACK, WORKING, STOPPED = 120, 5.0, 10.0
#: Seconds until everything that was acknowledged is found everywhere.
DRAINED = 180


class FileLives(Lives):
    """The same lives with a bank that is handed files."""

    async def _pay(self, cases: list[str]) -> None:
        payout = await smoke.pay(self.office, cases)
        await self.office.step("treasurer", "payouts", payout, "closing", "closed")
        for one in cases:
            case = await self.office.ask("officer", "GET", f"/cases/{one}")
            await self.office.step("officer", "cases", case, "acknowledgement", "acknowledged")


@dataclass
class Trial:
    """One run."""

    installation: Composed
    ledger: Ledger = field(default_factory=Ledger)
    rows: list[tuple[str, float, int, str]] = field(default_factory=list)

    async def run(self, root: str) -> None:
        """All steps, with people at work. Raises AssertionError for what was lost."""
        async with opened_office(self.installation.user, ADMINISTRATOR, ISSUER, root) as office:
            before = set(await Ledger().uncalled(self._urls()))
            office.heard, office.patience = self.ledger.hear, BACK
            async with self._working(office) as lives:
                await self._step("nothing", lambda: None)
                for name in CONTAINERS:
                    await self._step(f"kill {name}", self._killing(name))
                for name in ("postgres", "kafka"):
                    await self._step(f"stop and start {name}", self._pausing(name))
            await self._judged("lost or doubled", before, lives)
            await self._timed("verify, one-shot containers", self._verify)
            await self._timed("down, up again", self._down_and_up)
            await self._judged("still there", before, lives)
            await self._timed("verify again", self._verify)

    @asynccontextmanager
    async def _working(self, office: Office) -> AsyncIterator[Lives]:
        lives = FileLives(office, self.ledger, random.Random(1))
        until = asyncio.Event()
        working = asyncio.create_task(lives.run(until))
        try:
            yield lives
        finally:
            until.set()
            await working

    async def _step(self, name: str, fault: Callable[[], object]) -> None:
        """Let people work on through a fault, and some seconds more."""
        before = self.ledger.counts.total()
        began = time.monotonic()
        said = await asyncio.to_thread(fault)
        took = time.monotonic() - began
        await asyncio.sleep(WORKING)
        self._note(name, took, self.ledger.counts.total() - before, str(said or ""))

    async def _timed(self, name: str, work: Callable[[], object]) -> None:
        began = time.monotonic()
        said = await asyncio.to_thread(work)
        self._note(name, time.monotonic() - began, 0, str(said or ""))

    def _note(self, name: str, seconds: float, acknowledged: int, said: str) -> None:
        self.rows.append((name, seconds, acknowledged, said))
        print(f"| {name} | {seconds:.1f} | {acknowledged} | {said} |", flush=True)

    def _killing(self, name: str) -> Callable[[], str]:
        def kill() -> str:
            container = self.installation.container(name)
            how = _end(container)
            self._await_ready(name, container["State"]["StartedAt"])
            return how

        return kill

    def _pausing(self, name: str) -> Callable[[], None]:
        def pause() -> None:
            began = self.installation.container(name)["State"]["StartedAt"]
            self.installation.compose("stop", name)
            time.sleep(STOPPED)
            self.installation.compose("start", name)
            self._await_ready(name, began)

        return pause

    def _await_ready(self, name: str, began: str) -> None:
        """Until this container runs anew, and every container says that it is ready."""
        deadline = time.monotonic() + BACK
        while True:
            states = {
                one["Config"]["Labels"]["com.docker.compose.service"]: one["State"]
                for one in self.installation.containers()
            }
            # Jobs that have ended, and the issuer of the test, are not asked.
            waiting = [
                other
                for other, state in states.items()
                if state.get("Health", {}).get("Status", "healthy") != "healthy"
            ]
            if states[name]["StartedAt"] != began and states[name]["Running"] and not waiting:
                return
            assert time.monotonic() < deadline, f"{name} killed: after {BACK} s not ready are {waiting}"
            time.sleep(0.5)

    def _verify(self) -> str:
        found = breaches(self.installation, DRAINED)
        assert not found, found
        return "nothing is broken"

    def _down_and_up(self) -> None:
        self.installation.compose("down")
        self.installation.compose("up", "--detach", "--wait", "--wait-timeout", "600")

    async def _judged(self, name: str, before: set[str], lives: Lives) -> None:
        began = time.monotonic()
        urls = self._urls()
        lost: list[str] = []

        async def all_found() -> bool:
            lost[:] = await self.ledger.missing(urls)
            return not lost

        with suppress(AssertionError):
            await eventually(all_found, DRAINED, every=2)
        # Whose reply never came may have been carried out all the same.
        unknown = len(self.ledger.unanswered)
        doubled = [one for one in await self.ledger.uncalled(urls) if one not in before][unknown:]
        assert not lost, f"{len(lost)} lost: {lost[:20]}"
        assert not doubled, f"{len(doubled)} doubled: {doubled[:20]}"
        assert not self.ledger.refused, self.ledger.refused[:20]
        assert lives.ended, "nobody left: the load did nothing"
        known = len(self.ledger.versions) + len(self.ledger.check_ins)
        said = f"{known} versions looked for: 0 lost, 0 doubled; {unknown} without an answer"
        self._note(name, time.monotonic() - began, self.ledger.counts.total(), said)

    def _urls(self) -> dict[str, str]:
        """The databases as the workers see them, from here."""
        port = self.installation.settings["POSTGRES_PORT"]
        return {
            service: self.installation.secret(f"{service}_worker_url").replace(
                "@postgres:5432", f"@127.0.0.1:{port}"
            )
            for service in SERVICES
        }


def _end(container: dict[str, Any]) -> str:
    """Kill its first process, as a crash would, so that the restart policy answers for it; how that was done.

    An engine takes `docker kill` for an order, and does not start again what was ordered to end.
    """
    cgroup = Path(f"/proc/{container['State']['Pid']}/cgroup")
    # With an engine elsewhere that number belongs to somebody else here.
    if cgroup.exists() and container["Id"] in cgroup.read_text("utf-8"):
        os.kill(container["State"]["Pid"], signal.SIGKILL)
        return "back by itself"
    for words in (("kill", "--signal", "KILL"), ("start",)):
        subprocess.run([DOCKER, *words, container["Id"]], check=True, capture_output=True)
    return "killed and started through the engine"


def _nothing_left(installation: Composed) -> None:
    label = f"label=com.docker.compose.project={installation.project}"
    for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
        words = [DOCKER, *kind, "--quiet", "--filter", label]
        left = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        assert not left, f"down --volumes left {kind[0]} {left}"


def main() -> int:
    """0 when nothing was lost."""
    if not engine_answers():
        print("SKIPPED compose-faults: no Docker engine with compose answers")
        return 0 if os.environ.get("ALLOW_SKIP") == "1" else 1
    began = time.monotonic()
    files = (*FILES, "tests/compose/faults.yml")
    try:
        # A few desks do the work of many.
        settings = {"POSTGRES_PORT": str(free_port()), "UNIONHALL_RATE_LIMIT_PER_MINUTE": "60000"}
        with temporary(files, **settings) as installation:
            installation.build()
            installation.compose("up", "--detach", "--wait", "--wait-timeout", "600")
            print("| step | s until all is ready | commands acknowledged | |\n|---|---|---|---|", flush=True)
            asyncio.run(Trial(installation).run(installation.bootstrap()))
        _nothing_left(installation)
        print("| down --volumes | | | no container, volume or network is left |")
    except (ComposeFailed, AssertionError) as failure:
        print(f"FAILED compose-faults: {failure}")
        return 1
    print(f"passed compose-faults in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    sys.exit(main())
