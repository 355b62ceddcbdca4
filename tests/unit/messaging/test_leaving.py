"""A reader that stops while its broker is away throws the cancellation of its own tasks at whoever stops it."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from shared.database.engine import Database
from shared.messaging import freshness
from shared.messaging.broker import leave
from shared.messaging.freshness import Freshness


class Connection:
    is_closed = False

    async def close(self) -> None:
        self.is_closed = True


class Reader:
    """Fails at its start, and stops as `Fetcher.close` of the client does with a fetch that waits for its next try."""

    made = 0

    def __init__(self, **_: Any) -> None:
        type(self).made += 1
        self._client = Connection()

    async def start(self) -> None:
        raise KafkaConnectionError

    async def stop(self) -> None:
        fetch = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        fetch.cancel()
        await fetch


async def test_its_cancellation_is_not_ours() -> None:
    reader = Reader()
    with pytest.raises(asyncio.CancelledError):
        await reader.stop()
    await leave(reader)
    assert reader._client.is_closed, "the client's own stop() never came to that"


async def test_our_own_goes_on() -> None:
    leaving = asyncio.create_task(leave(Reader()))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_follower_outlives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "AIOKafkaConsumer", Reader)
    monkeypatch.setattr(freshness, "AGAIN_SECONDS", 0)
    monkeypatch.setattr(Reader, "made", 0)
    database = Database("postgresql://nobody@127.0.0.1:9/none", pool_size=1, application_name="test")
    running = asyncio.create_task(Freshness("views", "membership", [], database, "127.0.0.1:9").run())
    async with asyncio.timeout(2):
        while Reader.made < 3:  # noqa: ASYNC110 - a counter of the fake
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await database.close()
