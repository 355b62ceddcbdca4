"""Heads of requests that are too large or too slow: the connection ends. A body may take longer, under bounds of its own."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.server import ServerState

from shared.web import head
from shared.web.head import MAX_HEAD, BoundedHead

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _length(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())} bytes")


@pytest.fixture
async def connection(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Streams]:
    monkeypatch.setattr(head, "HEAD_SECONDS", 0.3)
    app = Starlette(routes=[Route("/", _length, methods=["GET", "POST"])])
    config = uvicorn.Config(app, http=BoundedHead, lifespan="off", log_config=None)
    server = await asyncio.get_running_loop().create_server(
        lambda: BoundedHead(config, ServerState(), {}), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    yield reader, writer
    writer.close()
    server.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.read()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-"])
async def test_a_head_that_does_not_come_ends_the_connection(connection: Streams, begun: bytes) -> None:
    reader, writer = connection
    writer.write(begun)
    assert await _read(reader) == b""


async def test_the_next_head_has_no_more_time_than_the_first(connection: Streams) -> None:
    reader, writer = connection
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"0 bytes" in await reader.readuntil(b"bytes")
    await asyncio.sleep(0.6)
    writer.write(b"GET / HTTP/1.1\r\n")
    assert await _read(reader) == b""


@pytest.mark.parametrize("piece", [b"a" * 8192, b"X-A: " + b"a" * 8000 + b"\r\n"])
async def test_a_head_without_end_is_cut_off(connection: Streams, piece: bytes) -> None:
    reader, writer = connection
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-B: b\r\nX: ")
    for _ in range(MAX_HEAD // len(piece)):
        writer.write(piece)
        await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(piece)
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")


async def test_a_large_slow_body_is_not_a_head(connection: Streams) -> None:
    reader, writer = connection
    size = 4 * MAX_HEAD
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    for _ in range(4):
        await asyncio.sleep(0.15)
        writer.write(b"b" * MAX_HEAD)
    assert b"%d bytes" % size in await reader.readuntil(b"bytes")
