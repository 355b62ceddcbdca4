"""A worker as its own process: chosen parts, health over HTTP, an orderly end."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from local_stack.processes import free_port
from shared.database.provision import DatabaseUrls
from shared.testing import Eventually
from tests.integration.messaging.conftest import Bench

PROGRAM = """
import sys
from shared.messaging.relay import Relay
from shared.messaging.worker import WorkerSetup, serve_worker
url, kafka, port = sys.argv[1:4]
relay = Relay(url, kafka, "scratch", topics=[], takeover_wait=0.0)
serve_worker(WorkerSetup("scratch", "127.0.0.1", int(port), relay=relay), sys.argv[4:])
"""


class Child:
    """The process and its address."""

    def __init__(self, urls: DatabaseUrls, kafka: str, *options: str) -> None:
        self.port = free_port()
        arguments = [urls.worker, kafka, str(self.port), *options]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], env=os.environ, stderr=subprocess.PIPE
        )
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}")

    async def ready(self) -> httpx.Response | None:
        try:
            return await self.http.get("/health/ready", headers={"Accept-Language": "en"})
        except httpx.TransportError:
            return None


@pytest.fixture
async def children() -> AsyncIterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        child.process.kill()
        child.process.communicate()
        await child.http.aclose()


async def test_it_runs_says_how_it_is_and_ends_on_sigterm(
    bench: Bench, children: list[Child], eventually: Eventually
) -> None:
    child = Child(bench.urls, bench.kafka, "--run", "relay")
    children.append(child)

    async def ready() -> bool:
        reply = await child.ready()
        return reply is not None and reply.json() == {"ready": True, "reasons": []}

    await eventually(ready)
    assert (await child.http.get("/health/live")).json() == {"live": True}

    async def leads() -> bool:
        return "unionhall_relay_leader 1.0" in (await child.http.get("/metrics")).text

    await eventually(leads)
    child.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(child.process.wait, 10) == 0
    async with bench.owner() as owner:
        # It signed off: whoever leads next need not wait.
        assert await owner.fetchval("SELECT leader FROM relay_progress") is None


async def test_what_it_waits_for_is_told_in_words(
    bench: Bench, children: list[Child], eventually: Eventually
) -> None:
    child = Child(bench.urls, "127.0.0.1:9")
    children.append(child)

    async def told() -> httpx.Response | None:
        reply = await child.ready()
        return reply if reply is not None and reply.status_code == 503 else None

    reply = await eventually(told)
    assert reply is not None
    reason = reply.json()["reasons"][0]
    assert reason["code"] == "relay-broker-down"
    assert "Kafka" in reason["text"]
    child.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(child.process.wait, 15) == 0


async def test_an_unknown_part_is_refused(bench: Bench, children: list[Child]) -> None:
    child = Child(bench.urls, bench.kafka, "--run", "relay,mailman")
    children.append(child)
    _, said = await asyncio.to_thread(child.process.communicate, None, 20)
    assert child.process.returncode == 2
    assert b"mailman" in said
