"""The follower of announcements outlives its broker and its database: a view that says for ever how old it is would be a lie."""

import asyncio

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from sqlalchemy.exc import DBAPIError, InterfaceError

from shared.database.engine import Database
from shared.database.failures import DatabaseBusy, is_database_lost
from shared.messaging import freshness
from shared.messaging.freshness import Freshness

LOST = [
    KafkaConnectionError(),
    ConnectionResetError(),
    asyncpg.ConnectionDoesNotExistError(),
    asyncpg.CannotConnectNowError(),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    InterfaceError("SELECT 1", {}, Exception("connection is closed")),
    DBAPIError("SELECT 1", {}, Exception("closed"), connection_invalidated=True),
    DatabaseBusy(),
]


async def test_it_goes_on_after_whatever_a_lost_database_or_broker_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = list(LOST)
    went_on = asyncio.Event()

    async def follow(_: Freshness) -> None:
        if waiting:
            raise waiting.pop(0)
        went_on.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(Freshness, "_follow", follow)
    monkeypatch.setattr(freshness, "AGAIN_SECONDS", 0)
    database = Database("postgresql://nobody@127.0.0.1:9/none", pool_size=1, application_name="test")
    running = asyncio.create_task(Freshness("views", "membership", [], database, "127.0.0.1:9").run())
    async with asyncio.timeout(2):
        await went_on.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await database.close()


def test_a_connection_cut_under_the_client_is_not_the_callers_fault() -> None:
    assert is_database_lost(asyncpg.InternalClientError("cannot switch to state 12"))
    assert not is_database_lost(asyncpg.UniqueViolationError())
