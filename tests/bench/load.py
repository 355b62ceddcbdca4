"""A program that sends requests made beforehand over many connections: `python -m tests.bench.load < order.json`.

It prints "ready", waits for a line on its input, sends, and prints what came of it. Simple on purpose: on two cores every
cycle that the sender takes is missing from the service.
"""

import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast
from uuid import uuid4

import orjson
import uvloop

from tests.bench.people import document, name, phone


def _requests(order: dict[str, Any]) -> list[bytes]:
    head = (
        f"POST {order['path']} HTTP/1.1\r\nhost: bench\r\nauthorization: {order['authorization']}\r\n"
        "content-type: application/json\r\n"
    )
    made = []
    for serial in range(order["first"], order["first"] + order["count"]):
        person = {"name": name(serial), "document_number": document(serial), "phone": phone(serial)}
        body = orjson.dumps(person | {"organisation_id": order["organisation_id"]})
        rest = f"idempotency-key: {uuid4()}\r\ncontent-length: {len(body)}\r\n\r\n"
        made.append((head + rest).encode() + body)
    return made


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the reply to the last is complete."""

    def __init__(self, requests: Iterator[bytes], statuses: Counter[int], seconds: list[float]) -> None:
        self._requests = requests
        self._statuses = statuses
        self._seconds = seconds
        self._received = b""
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def begin(self) -> None:
        """Send the first request, or the next."""
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self._seconds.append(time.perf_counter() - self._sent_at)
            self._statuses[int(head[9:12])] += 1
            self._received = b""
            self.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the service hung up"))


async def _send(order: dict[str, Any], requests: list[bytes]) -> dict[str, Any]:
    statuses: Counter[int] = Counter()
    seconds: list[float] = []
    rest = iter(requests)
    connections = [
        (
            await asyncio.get_running_loop().create_connection(
                lambda: _Connection(rest, statuses, seconds), "127.0.0.1", order["port"]
            )
        )[1]
        for _ in range(order["connections"])
    ]
    began = time.perf_counter()
    for connection in connections:
        connection.begin()
    await asyncio.gather(*(connection.done for connection in connections))
    elapsed = time.perf_counter() - began
    seconds.sort()
    return {
        "seconds": elapsed,
        "statuses": {str(code): count for code, count in statuses.items()},
        "p50_ms": seconds[len(seconds) // 2] * 1000,
        "p99_ms": seconds[len(seconds) * 99 // 100] * 1000,
    }


def main() -> None:
    """Read the order, get ready, wait for the word, send, tell."""
    order = orjson.loads(sys.stdin.readline())
    requests = _requests(order)
    gc.freeze()
    print("ready", flush=True)
    sys.stdin.readline()
    print(orjson.dumps(uvloop.run(_send(order, requests))).decode(), flush=True)


if __name__ == "__main__":
    main()
