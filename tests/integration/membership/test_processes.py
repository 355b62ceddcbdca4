"""The service as an installation runs it: real processes, from a request to the topic and from a plan to its day."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import httpx
from aiokafka import AIOKafkaConsumer

from shared.contracts.envelope import read_record
from shared.contracts.membership import ORGANISATIONS, OrganisationMoved
from shared.database.provision import DatabaseUrls
from shared.testing.waiting import Eventually
from tests.support.membership import Federation
from tests.support.tokens import AUDIENCE, ISSUER


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@asynccontextmanager
async def running(module: str, environment: dict[str, str], *arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"membership_service.{module}", *arguments, env=os.environ | environment
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def moved_events(bootstrap: str, organisation_id: UUID) -> list[OrganisationMoved]:
    consumer = AIOKafkaConsumer(
        ORGANISATIONS.name,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    found = []
    try:
        while batches := await consumer.getmany(timeout_ms=700, max_records=5000):
            for partition, records in batches.items():
                for record in records:
                    event = read_record(
                        partition.topic, partition.partition, record.offset, record.headers, record.value
                    )
                    if event.subject == organisation_id and event.type == OrganisationMoved.type:
                        found.append(OrganisationMoved.model_validate(event.data))
    finally:
        await consumer.stop()
    return found


async def test_a_planned_move_is_carried_out_and_told_by_the_worker(
    federation: Federation,
    founded: tuple[DatabaseUrls, UUID],
    keys_file: Path,
    kafka_bootstrap: str,
    eventually: Eventually,
) -> None:
    urls, _ = founded
    old, new = await federation.unit(), await federation.unit()
    joint = await federation.unit(old["id"], kind="joint")
    # The clock of the test stands in the past of the worker's: tomorrow has long come.
    move = {"parent_id": new["id"], "on": "2026-03-17"}
    await federation.call("POST", f"/organisations/{joint['id']}/move", version=1, json=move)
    port = free_port()
    environment = {
        "UNIONHALL_WORKER_DATABASE_URL": urls.worker,
        "UNIONHALL_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "UNIONHALL_KEYS_FILE": str(keys_file),
        "UNIONHALL_WORKER_PORT": str(port),
    }
    async with running("worker", environment, "--run", "relay,jobs"), httpx.AsyncClient() as client:

        async def moved() -> bool:
            return bool(await moved_events(kafka_bootstrap, UUID(joint["id"])))

        await eventually(moved, timeout=20)
        [event] = await moved_events(kafka_bootstrap, UUID(joint["id"]))
        assert (str(event.state.parent_id), str(event.previous_parent_id)) == (new["id"], old["id"])
        assert event.state.parent_since.isoformat() == "2026-03-17"
        ready = await client.get(f"http://127.0.0.1:{port}/health/ready")
        assert (ready.status_code, ready.json()["reasons"]) == (200, [])
    assert (await federation.call("GET", f"/organisations/{joint['id']}"))["parent_id"] == new["id"]


async def test_the_http_process_is_ready_on_a_migrated_database_and_ends_on_request(
    founded: tuple[DatabaseUrls, UUID], keys_file: Path, eventually: Eventually
) -> None:
    urls, _ = founded
    port = free_port()
    environment = {
        "UNIONHALL_DATABASE_URL": urls.app,
        "UNIONHALL_OIDC_ISSUER": ISSUER,
        "UNIONHALL_OIDC_AUDIENCE": AUDIENCE,
        "UNIONHALL_OIDC_JWKS_URL": "http://127.0.0.1:9/jwks",
        "UNIONHALL_KEYS_FILE": str(keys_file),
        "UNIONHALL_HTTP_PORT": str(port),
    }
    async with running("app", environment), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

        async def ready() -> bool:
            try:
                reply = await client.get("/health/ready")
            except httpx.TransportError:
                return False
            return bool(reply.json() == {"ready": True, "reasons": []})

        await eventually(ready, timeout=15)
        refused = await client.get("/api/v1/me")
        assert (refused.status_code, refused.json()["code"]) == (401, "token-missing")
