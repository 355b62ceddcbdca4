"""F11: a real bank process that is silent, repeats itself, is late, contradicts itself, dies. It is sent and booked once."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from local_stack.plan import python_process
from local_stack.processes import ChildProcess, free_port
from shared.jobs import JobRunner
from shared.testing import Eventually
from shared.testing.plugin import CrashPoints
from tests.integration.welfare.payouts.office import AMOUNT, Office
from welfare_service.payouts import jobs
from welfare_service.payouts.use_cases import SEND
from welfare_service.settings import Settings

#: Seconds that the bank has for an answer in these tests.
DEADLINE = 0.5


@dataclass
class Bank:
    """The fake bank as its own process."""

    child: ChildProcess
    url: str

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            reply = await client.request(method, path, json=body)
            assert reply.is_success, reply.text
            return reply.json()

    async def fault(self, **faults: Any) -> None:
        """From here on it goes wrong like this; with nothing named it works."""
        await self.call("PUT", "/faults", faults)

    async def ledger(self, payout: Any) -> list[dict[str, Any]]:
        """What it was ever sent for a batch."""
        return [row for row in await self.call("GET", "/ledger") if row["batch"] == payout["id"]]

    def start(self) -> None:
        self.child.spawn()
        self.child.wait_ready(20)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    folder, port = tmp_path_factory.mktemp("bank"), free_port()
    arguments = ["-m", "local_stack.bank", "--port", str(port), "--folder", str(folder)]
    child = python_process("bank", arguments, folder, {}, port, "/health")
    made = Bank(child, f"http://127.0.0.1:{port}")
    made.start()
    try:
        yield made
    finally:
        child.stop()


@pytest.fixture
async def working(office: Office, bank: Bank) -> AsyncIterator[Office]:
    """An office whose jobs run, with a bank that works until a test says otherwise."""
    await bank.fault()
    async with running(office, bank.url):
        yield office
    await bank.fault()


@asynccontextmanager
async def running(office: Office, bank_url: str) -> AsyncIterator[None]:
    handlers = jobs.PayoutJobs(
        office.database, office.ring, office.welfare.clock, bank_url, deadline=DEADLINE
    )
    every = {jobs.ASK: timedelta(milliseconds=200)}
    runner = JobRunner(office.database, {SEND: handlers.send, jobs.ASK: handlers.ask}, every=every)
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def states(office: Office, payout: Any, wanted: set[str]) -> bool:
    """Whether the lines are in these states; meanwhile time goes on."""
    office.welfare.clock.advance(timedelta(seconds=20))
    return {line["state"] for line in (await office.lines(payout)).values()} == wanted


async def paid_once(office: Office, bank: Bank, payout: Any, case_ids: list[UUID]) -> None:
    """The bank was sent each payment once, and each is booked once."""
    assert [row["sent"] for row in await bank.ledger(payout)] == [1] * len(case_ids)
    assert [await office.settled(case) for case in case_ids] == [1] * len(case_ids)
    assert {await office.stage(case) for case in case_ids} == {"paid"}
    assert (await office.figures())[1:3] == (0, AMOUNT * len(case_ids))
    assert (await office.get(payout))["state"] == "answered"


async def test_a_bank_that_works(working: Office, bank: Bank, eventually: Eventually) -> None:
    payout, case_ids = await working.sent(3, "bank")
    await eventually(lambda: states(working, payout, {"paid"}))
    await paid_once(working, bank, payout, case_ids)
    assert await working.findings(payout) == []


@pytest.mark.parametrize(
    ("faults", "first", "findings"),
    [
        # It takes the payments and does not answer.
        ({"delay": 3 * DEADLINE}, {"unknown"}, []),
        # It answers what nobody understands.
        ({"garbage": True}, {"unknown"}, []),
        # It says everything twice.
        ({"twice": True}, {"paid"}, []),
        # It takes its time.
        ({"pay_after": 1.5}, {"accepted"}, []),
        # It says paid, then failed.
        ({"contradict": True}, {"paid"}, ["result-contradicts"] * 2),
        ({"contradict": True, "twice": True}, {"paid"}, ["result-contradicts"] * 2),
    ],
)
async def test_a_bank_on_a_bad_day(
    working: Office,
    bank: Bank,
    eventually: Eventually,
    faults: dict[str, Any],
    first: set[str],
    findings: list[str],
) -> None:
    await bank.fault(**faults)
    payout, case_ids = await working.sent(2, "bank")
    await eventually(lambda: states(working, payout, first))
    # Several cycles in which it could be sent again.
    await asyncio.sleep(1)
    await bank.fault()
    await eventually(lambda: states(working, payout, {"paid"}))
    await paid_once(working, bank, payout, case_ids)
    assert await working.findings(payout) == findings


async def test_a_batch_that_never_arrives_is_asked_about_and_never_sent_again(
    working: Office, bank: Bank, eventually: Eventually
) -> None:
    await bank.fault(lose=True, delay=3 * DEADLINE)
    payout, [case] = await working.sent(1, "bank")
    await eventually(lambda: states(working, payout, {"unknown"}))
    await bank.fault()
    await asyncio.sleep(1)
    assert await working.findings(payout) == [], "it may still be on its way"
    working.welfare.clock.advance(timedelta(hours=2))

    async def told() -> bool:
        working.welfare.clock.advance(timedelta(hours=1))
        return await working.findings(payout) == ["instruction-not-known"]

    await eventually(told)
    await asyncio.sleep(0.5)
    assert await working.findings(payout) == ["instruction-not-known"]
    assert await bank.ledger(payout) == []
    # The bank, asked by a person, says no; the next batch pays.
    [line] = (await working.lines(payout)).values()
    await working.result(payout, [[line["id"], "failed", "", ""]])
    again = await working.send(await working.prepare([case]), "bank")
    await eventually(lambda: states(working, again, {"paid"}))
    assert await working.settled(case) == 1


async def test_a_refused_payment_stays_reserved_and_goes_with_the_next_batch(
    working: Office, bank: Bank, eventually: Eventually
) -> None:
    await bank.fault(refuse_ending="0123")
    payout, [case] = await working.sent(1, "bank")
    await eventually(lambda: states(working, payout, {"failed"}))
    assert await working.stage(case) == "approved"
    assert (await working.figures())[1:3] == (AMOUNT, 0)
    assert (await working.lines(payout))[str(case)]["reason"] == "account-closed"
    await bank.fault()
    again = await working.send(await working.prepare([case]), "bank")
    await eventually(lambda: states(working, again, {"paid"}))
    assert await working.settled(case) == 1


async def test_a_bank_that_is_down_is_sent_the_batch_when_it_is_up(
    working: Office, bank: Bank, eventually: Eventually
) -> None:
    bank.child.kill()
    try:
        payout, case_ids = await working.sent(2, "bank")
        await asyncio.sleep(1)
        await eventually(lambda: states(working, payout, {"pending"}))
    finally:
        bank.start()
    await eventually(lambda: states(working, payout, {"paid"}), timeout=30)
    await paid_once(working, bank, payout, case_ids)


async def test_a_bank_that_is_killed_after_taking_the_batch_remembers_it(
    working: Office, bank: Bank, eventually: Eventually
) -> None:
    await bank.fault(delay=3 * DEADLINE)
    payout, case_ids = await working.sent(2, "bank")
    await eventually(lambda: states(working, payout, {"unknown"}))

    async def taken() -> bool:
        return len(await bank.ledger(payout)) == 2

    await eventually(taken)
    assert bank.child.pid
    os.kill(bank.child.pid, signal.SIGKILL)
    bank.child.kill()
    bank.start()
    await bank.fault()
    await eventually(lambda: states(working, payout, {"paid"}), timeout=30)
    await paid_once(working, bank, payout, case_ids)


@pytest.mark.parametrize("point", ["payout.before_send", "payout.after_send"])
async def test_a_worker_that_dies_around_the_sending_does_not_send_again(
    office: Office,
    bank: Bank,
    settings: Settings,
    eventually: Eventually,
    crash_points: CrashPoints,
    tmp_path: Path,
    point: str,
) -> None:
    await bank.fault()
    payout, [case] = await office.sent(1, "bank")
    environment = crash_points.environment(point) | {
        "UNIONHALL_WORKER_DATABASE_URL": settings.worker_database_url,
        "UNIONHALL_KAFKA_BOOTSTRAP": "127.0.0.1:9",
        "UNIONHALL_KEYS_FILE": str(settings.keys_file),
        "UNIONHALL_WORKER_PORT": str(free_port()),
        "UNIONHALL_BANK_URL": bank.url,
    }
    log = (tmp_path / "worker.log").open("wb")
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "welfare_service.worker",
        "--run",
        "jobs",
        env=environment,
        stdout=log,
        stderr=log,
    )
    try:
        assert await asyncio.wait_for(worker.wait(), 30) == crash_points.exit_code
    finally:
        if worker.returncode is None:
            worker.kill()
        log.close()
    sent = 0 if point == "payout.before_send" else 1
    assert len(await bank.ledger(payout)) == sent
    # The job's lease has to end before anybody else goes on with it.
    await office.welfare.rows("UPDATE jobs SET leased_until = now() WHERE state = 'running' RETURNING id")
    async with running(office, bank.url):
        if sent:
            await eventually(lambda: states(office, payout, {"paid"}))
            await paid_once(office, bank, payout, [case])
        else:
            await asyncio.sleep(1.5)
            assert await states(office, payout, {"unknown"})
            assert await bank.ledger(payout) == [], "whether it had arrived was not known"


async def test_the_bank_serves_this_machine_alone(tmp_path: Path) -> None:
    for host, code in (("0.0.0.0", 1), ("192.0.2.1", 1)):  # noqa: S104 - refused
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "local_stack.bank", "--host", host, "--port", "1", "--folder", str(tmp_path),
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await asyncio.wait_for(program.communicate(), 20)
        assert (program.returncode, b"loopback only" in said) == (code, True)
