"""`python -m tests.soak [--minutes 10] [--seed 1]`: the whole local stack under mixed commands and random kills.

Writes `build/soak.json`; exit code 1 if an acknowledged command is not found, something happened twice, or `verify` complains.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from local_stack.layout import HOME_VARIABLE
from local_stack.plan import SERVICES
from local_stack.tokens import Signer
from local_stack.users import DemoUser, demo_user
from shared.kernel.ids import new_id
from shared.testing.waiting import eventually
from tests.faults.insisting import insist
from tests.faults.office import opened_office
from tests.soak.ledger import Ledger
from tests.soak.lives import Lives
from tests.support.stack import RunningStack, running_stack

REPORT = Path("build") / "soak.json"
LOGS = Path("build") / "soak-logs"
#: Seconds between two kills; until everything runs again; until every effect is there.
PAUSE = (3.0, 9.0)
BACK, DRAINED = 180, 180
#: What everything stands on is killed less often than what stands on it.
WEIGHTS = {"postgres": 0.5, "kafka": 0.5, "issuer": 0.3}


class Token(httpx.Auth):
    """Signs in anew every few minutes, as this subject."""

    def __init__(self, signer: Signer, subject: str) -> None:
        self._signer, self._user = signer, DemoUser(subject, subject, "示例", "example")
        self._token, self._since = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if time.monotonic() > self._since + 300 or not self._token:
            self._token = self._signer.grant(self._user, "unionhall-cli")["access_token"]
            self._since = time.monotonic()
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class Soak:
    """One run."""

    def __init__(self, stack: RunningStack, seed: int) -> None:
        self.stack = stack
        self.dice = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.ledger = Ledger()
        self.problems: list[str] = []
        self._signer = Signer(stack.status.issuer, stack.layout.root / "issuer")

    def sign(self, subject: str) -> httpx.AsyncClient:
        """A client of the gateway."""
        url = f"{self.stack.status.gateway}/api/v1"
        return httpx.AsyncClient(base_url=url, auth=Token(self._signer, subject), trust_env=False, timeout=15)

    async def run(self, minutes: float) -> dict[str, Any]:
        """The line of the report."""
        administrator = demo_user("administrator")
        assert administrator
        root = self._command("admin", "bootstrap", "--organisation-name", "示例省总工会", "--json")
        top = json.loads(root.stdout)["organisation_id"]
        began = time.monotonic()
        async with opened_office(self.sign, administrator.subject, self.stack.status.issuer, top) as office:
            # What made the office is no part of the ledger, and not called for twice either.
            before = await self._present()
            office.heard, office.patience = self.ledger.hear, 120
            lives = Lives(office, self.ledger, self.dice)
            until = asyncio.Event()
            working = asyncio.create_task(lives.run(until))
            async with self._killing():
                await asyncio.wait({working}, timeout=minutes * 60)
                until.set()
            await asyncio.to_thread(self._runs_again)
            await working
            worked = time.monotonic() - began
            await self._repeat(office.desks)
            took = await self._drain(lives)
        lost, doubled = await self._judge(before)
        verified = await asyncio.to_thread(self._verify)
        return self._report(worked, took, lost, doubled, verified)

    @asynccontextmanager
    async def _killing(self) -> AsyncIterator[None]:
        killing = asyncio.create_task(self._kill_on())
        try:
            yield
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)

    async def _kill_on(self) -> None:
        while True:
            await asyncio.sleep(self.dice.uniform(*PAUSE))
            running = [one.name for one in self.stack.status.processes if one.state == "running"]
            if not running:
                continue
            weights = [WEIGHTS.get(name, 1.0) for name in running]
            [name] = self.dice.choices(running, weights)
            try:
                await asyncio.to_thread(self.stack.kill, name)
            except ProcessLookupError:
                # It ended by itself meanwhile, because of an earlier kill.
                continue
            self.kills[name] += 1
            print(
                f"   {time.strftime('%X')} killed {name}; {self.ledger.counts.total()} acknowledged",
                flush=True,
            )

    def _runs_again(self) -> None:
        deadline = time.monotonic() + BACK
        while any(one.state != "running" for one in self.stack.status.processes):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all came back: {self.stack.status.processes}")
            time.sleep(0.5)

    async def _repeat(self, desks: dict[str, httpx.AsyncClient]) -> None:
        """I9: the same key and body, the same reply, whoever died in between."""
        asked = {
            "/members/applications": "registrar", "/cases": "officer", "/dossiers": "officer",
            "/payouts": "treasurer", "/activities": "organiser", "/programmes": "officer",
        }  # fmt: skip
        for one in self.ledger.repeatable():
            headers = {"Idempotency-Key": one.key}
            reply = await insist(desks[asked[one.path]], "POST", one.path, headers=headers, json=one.body)
            if reply.json() != one.reply:
                self.problems.append(f"{one.path}: the same key was answered differently")

    async def _drain(self, lives: Lives) -> float:
        """Seconds until every effect of what people did is there."""
        began = time.monotonic()
        flagged = [UUID(one) for one in lives.flagged]
        ended = [UUID(one) for one in lives.ended]

        async def is_done() -> bool:
            unflagged = await self._rows(
                "welfare", "SELECT id FROM cases WHERE id = ANY ($1) AND NOT flagged", flagged
            )
            still = await self._rows(
                "events", "SELECT id FROM registrations WHERE id = ANY ($1) AND status <> 'cancelled'", ended
            )
            waiting = await self._rows(
                "events",
                """
                SELECT r.id FROM registrations r WHERE r.status = 'waiting' AND r.activity_id IN
                    (SELECT activity_id FROM registrations WHERE id = ANY ($1))
                """,
                ended,
            )
            self.left = [f"case {one[0]} is not flagged" for one in unflagged]
            self.left += [f"registration {one[0]} has not ended" for one in still]
            self.left += [f"registration {one[0]} still waits" for one in waiting]
            return not self.left

        try:
            await eventually(is_done, DRAINED, every=1)
        except AssertionError:
            self.problems += self.left
        return time.monotonic() - began

    async def _judge(self, before: set[str]) -> tuple[list[str], list[str]]:
        urls = self._urls()
        lost: list[str] = []

        async def all_found() -> bool:
            lost[:] = await self.ledger.missing(urls)
            return not lost

        with suppress(AssertionError):
            await eventually(all_found, DRAINED, every=1)
        uncalled = [one for one in await self.ledger.uncalled(urls) if one not in before]
        # A judge who sees nothing proves nothing: three commands that never were, and a ledger that forgot all.
        made_up = Ledger({("cases", new_id(), 1), ("payouts", new_id(), 1)}, {new_id()})
        seen = len(await made_up.missing(urls)), len(await Ledger().uncalled(urls))
        if seen[0] != 4 or seen[1] <= len(before):
            self.problems.append(f"what is not there was found: {seen}")
        # Whose reply never came may have been carried out all the same.
        return lost, uncalled[len(self.ledger.unanswered) :]

    async def _present(self) -> set[str]:
        return set(await Ledger().uncalled(self._urls()))

    def _urls(self) -> dict[str, str]:
        return {name: self.stack.environment(name)["UNIONHALL_WORKER_DATABASE_URL"] for name in SERVICES}

    async def _rows(self, service: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self._urls()[service])
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    def _command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {HOME_VARIABLE: str(self.stack.layout.root), "UNIONHALL_LANG": "en"}
        run = [sys.executable, "-m", "unionhall_cli.main", *arguments]
        return subprocess.run(run, env=environment, text=True, capture_output=True, check=check, timeout=600)

    def _verify(self) -> dict[str, Any]:
        ran = self._command("verify", "--json", check=False)
        try:
            found: dict[str, Any] = json.loads(ran.stdout)
        except ValueError:
            return {"ok": False, "findings": [], "complaint": (ran.stdout + ran.stderr)[-2000:]}
        return found

    def _report(
        self, worked: float, drained: float, lost: list[str], doubled: list[str], verified: dict[str, Any]
    ) -> dict[str, Any]:
        wrong = [one for one in verified["findings"] if one["verdict"] != "ok"]
        passed = verified["ok"] and not (wrong or lost or doubled or self.problems or self.ledger.refused)
        return {
            "minutes": round(worked / 60, 1),
            "kills": dict(sorted(self.kills.items())),
            "acknowledged": self.ledger.counts.total(),
            "commands": dict(self.ledger.counts.most_common()),
            "versions_looked_for": len(self.ledger.versions) + len(self.ledger.check_ins),
            "repeated_with_same_key": len(self.ledger.repeatable()),
            "lost": lost[:50],
            "doubled": doubled[:50],
            "refused": self.ledger.refused[:50],
            "unanswered": self.ledger.unanswered[:50],
            "problems": self.problems[:50],
            "drained_after_s": round(drained, 1),
            "verify_ok": verified["ok"],
            "verify_findings": len(verified["findings"]),
            "verify_wrong": wrong or verified.get("complaint", []),
            "passed": bool(passed),
        }


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=20261121)
    options = parser.parse_args()
    # Whoever ends it ends the stack with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"seed {options.seed}")
    with (
        tempfile.TemporaryDirectory(prefix="unionhall-soak-", ignore_cleanup_errors=True) as folder,
        running_stack(Path(folder) / "home") as stack,
    ):
        report = {"seed": options.seed}
        try:
            report |= asyncio.run(Soak(stack, options.seed).run(options.minutes))
        finally:
            if not report.get("passed"):
                shutil.copytree(stack.layout.logs, LOGS, dirs_exist_ok=True)
                print(f"logs are in {LOGS}")
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
