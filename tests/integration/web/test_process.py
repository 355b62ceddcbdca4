"""A served process: it drains before it ends, closes slow clients, and dies at its crash points without half a deed."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import orjson
import pytest

from shared.kernel import crash
from shared.security.keys import new_ring_json
from shared.testing import eventually
from tests.support.tokens import AUDIENCE, ISSUER

ROOT = Path(__file__).parents[3]


class Process:
    """One served process."""

    def __init__(self, folder: Path, port: int, owner_url: str) -> None:
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.owner_url = owner_url
        self.child: asyncio.subprocess.Process | None = None

    async def start(self, app_url: str, **environment: str) -> None:
        variables = {
            "UNIONHALL_DATABASE_URL": app_url,
            "UNIONHALL_OIDC_ISSUER": ISSUER,
            "UNIONHALL_OIDC_AUDIENCE": AUDIENCE,
            "UNIONHALL_OIDC_JWKS_URL": "http://127.0.0.1:9/jwks",
            "UNIONHALL_KEYS_FILE": str(self.folder / "keys.json"),
            "UNIONHALL_HTTP_PORT": str(self.port),
            **environment,
        }
        with (self.folder / "log").open("ab") as log:
            self.child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.integration.web.served_notes",
                str(self.folder / "token"),
                cwd=ROOT,
                env={**os.environ, **variables},
                stdout=log,
                stderr=log,
            )
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            await eventually(lambda: self._is_live(client))

    async def _is_live(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get("/health/live")).status_code == 200
        except httpx.HTTPError:
            return False

    def client(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {(self.folder / 'token').read_text('utf-8')}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False)

    async def ended(self) -> int:
        assert self.child is not None
        return await asyncio.wait_for(self.child.wait(), 15)

    async def stop(self) -> None:
        if self.child is not None and self.child.returncode is None:
            self.child.kill()
            await self.child.wait()

    def signal(self) -> None:
        assert self.child is not None
        self.child.send_signal(signal.SIGTERM)

    async def count(self) -> int:
        connection = await asyncpg.connect(self.owner_url)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM notes"))
        finally:
            await connection.close()


@pytest.fixture
async def process(laid_out: tuple[str, str], tmp_path: Path) -> AsyncIterator[Process]:
    (tmp_path / "keys.json").write_bytes(new_ring_json())
    (tmp_path / "keys.json").chmod(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    connection = await asyncpg.connect(laid_out[0])
    await connection.execute("TRUNCATE notes, deferred, idempotency_keys")
    await connection.close()
    served = Process(tmp_path, port, laid_out[0])
    try:
        yield served
    finally:
        await served.stop()


async def test_it_drains_before_it_ends(laid_out: tuple[str, str], process: Process) -> None:
    await process.start(laid_out[1], UNIONHALL_DRAIN_SECONDS="1")
    async with process.client() as client, process.client() as probe:
        assert "connection" not in (await client.get("/api/v1/pauses/0")).headers
        running = asyncio.create_task(client.get("/api/v1/pauses/5"))
        await asyncio.sleep(0.1)
        process.signal()
        await asyncio.sleep(0.2)
        ready = await probe.get("/health/ready", headers={"Accept-Language": "en"})
        assert (ready.status_code, ready.json()["reasons"][0]["code"]) == (503, "draining")
        assert ready.headers["connection"] == "close"
        # New requests are still served meanwhile, on connections that close.
        assert (await probe.get("/api/v1/pauses/0")).json() == {"draining": True}
        assert (await running).json() == {"draining": True}
    assert await process.ended() == 0
    last = (process.folder / "log").read_bytes().splitlines()[-1]
    assert orjson.loads(last)["service"] == "notes"


async def test_a_request_in_flight_is_finished_after_sigterm(
    laid_out: tuple[str, str], process: Process
) -> None:
    await process.start(laid_out[1])
    async with process.client() as client:
        running = asyncio.create_task(client.get("/api/v1/pauses/8"))
        await asyncio.sleep(0.2)
        process.signal()
        assert (await running).status_code == 200
    assert await process.ended() == 0


# A hot command is one statement: there is no moment before its commit at which our code runs.
@pytest.mark.parametrize(
    ("address", "point", "effects"),
    [
        ("/api/v1/notes", "web.before_commit", 0),
        ("/api/v1/notes", "web.after_commit", 1),
        ("/api/v1/notes/hot", "web.after_commit", 1),
    ],
)
async def test_a_retry_after_a_crash_gives_one_effect_and_the_reply(
    laid_out: tuple[str, str], process: Process, address: str, point: str, effects: int
) -> None:
    await process.start(laid_out[1], **{crash.VARIABLE: point})
    request = {"json": {"path": "1/", "words": "hello"}, "headers": {"Idempotency-Key": "crash-key-0001"}}
    async with process.client() as client:
        with pytest.raises(httpx.HTTPError):
            await client.post(address, **request)  # type: ignore[arg-type]
    assert await process.ended() == crash.EXIT_CODE
    assert await process.count() == effects
    await process.start(laid_out[1])
    async with process.client() as client:
        again = await client.post(address, **request)  # type: ignore[arg-type]
    assert again.status_code == 201
    assert again.headers.get("idempotency-replayed") == ("true" if effects else None)
    assert await process.count() == 1


@asynccontextmanager
async def raw(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_slow_clients_hurt_nobody(laid_out: tuple[str, str], process: Process) -> None:
    await process.start(laid_out[1])
    head = b"POST /api/v1/notes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"
    writers = []
    for _ in range(60):
        _, writer = await asyncio.open_connection("127.0.0.1", process.port)
        writer.write(head)
        writers.append(writer)
    async with process.client() as client:
        # Sixty half requests hold no connection of the pool of four.
        replies = await asyncio.gather(*(client.get("/api/v1/notes") for _ in range(20)))
    assert {reply.status_code for reply in replies} == {200}
    for writer in writers:
        writer.close()


async def test_what_is_no_http_and_a_lying_length_are_refused(
    laid_out: tuple[str, str], process: Process
) -> None:
    await process.start(laid_out[1])
    async with raw(process.port) as (reader, writer):
        writer.write(b"\x16\x03\x01\x02\x00\x01nonsense\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400")
    async with raw(process.port) as (reader, writer):
        writer.write(b"POST /api/v1/notes HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n{")
        line = await asyncio.wait_for(reader.readline(), 5)
        assert line.startswith(b"HTTP/1.1 413")
