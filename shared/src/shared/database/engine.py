"""The connections of a process to its database, and the sessions on them.

A fair queue stands before the pool: SQLAlchemy's own wakes waiters in no order, which cost a factor of five in the slowest
hundredth of requests.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

import asyncpg
import orjson
from sqlalchemy import event, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import create_async_engine

from shared.database.failures import DatabaseBusy
from shared.database.scope import Scope
from shared.database.session import ReadSession, WriteSession

SessionType = TypeVar("SessionType", bound=ReadSession)

#: Seconds. Longer work belongs into a job, in chunks.
COMMAND_TIMEOUT = 30
QUEUE_TIMEOUT = 10
#: Milliseconds. A transaction that nobody goes on with would hold rotation of the outbox back for ever.
IDLE_IN_TRANSACTION_TIMEOUT = 60_000

_SCOPE = text("SELECT set_config('app.scope', :scope, true)")
_SCOPE_READ_ONLY = text(
    "SELECT set_config('app.scope', :scope, true), set_config('transaction_read_only', 'on', true)"
)


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def _refuse_closed(connection: Any, *_: object) -> None:
    """Have another opened for one that the server has ended, as a restart of it does to all: nobody's request pays for that.

    Only what has been heard of is seen, but nothing is asked for it.
    """
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


async def _leave(_: asyncpg.Connection) -> None:
    """Leave a connection as it is when it goes back to the pool."""


class Database:
    """One role's way into one database."""

    def __init__(self, url: str, *, pool_size: int = 16, application_name: str) -> None:
        """`url` is `postgresql://user:password@host:port/database`; `application_name` shows in pg_stat_activity.

        There are two pools of `pool_size`, that of the sessions and that of `driver`: neither can lend to the other.
        """
        self.url = url
        self.application_name = application_name
        self._connection_options: dict[str, Any] = {
            "command_timeout": COMMAND_TIMEOUT,
            "timeout": 5,
            "server_settings": {
                "application_name": application_name,
                "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT),
                # Short statements on changing tables: compiling them costs more than it gives.
                "jit": "off",
            },
        }
        self.engine = create_async_engine(
            "postgresql+asyncpg://",
            pool_size=pool_size,
            max_overflow=0,
            json_serializer=_dumps,
            json_deserializer=orjson.loads,
            # Both pools read the address alike: SQLAlchemy would not understand `?sslmode=`.
            async_creator=partial(asyncpg.connect, url, **self._connection_options),
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_closed)
        self._queue = asyncio.Semaphore(pool_size)
        self._pool_size = pool_size
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.close()
        await self.engine.dispose()

    @asynccontextmanager
    async def read(self, scope: Scope) -> AsyncIterator[ReadSession]:
        """A session in a read-only transaction that sees `scope`."""
        async with self._session(ReadSession, scope) as session:
            await session.execute(_SCOPE_READ_ONLY, {"scope": scope.setting()})
            yield session

    @asynccontextmanager
    async def write(self, scope: Scope) -> AsyncIterator[WriteSession]:
        """A session in a transaction under `scope`. Leaving it rolls back what nobody committed."""
        async with self._session(WriteSession, scope) as session:
            if not scope.whole:
                await session.execute(_SCOPE, {"scope": scope.setting()})
            yield session

    @asynccontextmanager
    async def driver(self) -> AsyncIterator[asyncpg.Connection]:
        """A bare connection, each statement a transaction of its own: the one-statement way of hot commands.

        From a pool of the driver's own, opened when it is first asked for: a way through SQLAlchemy's costs 100 µs more, a
        sixth of a join. Nothing is reset between users, so a session-level SET is forbidden here.
        """
        pool = self._pool or await self._open_pool()
        try:
            connection = await pool.acquire(timeout=QUEUE_TIMEOUT)
        except TimeoutError:
            raise DatabaseBusy from None
        try:
            # A proxy that forwards everything; the stubs do not say so.
            yield cast("asyncpg.Connection", connection)
        finally:
            await pool.release(connection)

    async def _open_pool(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.url, min_size=0, max_size=self._pool_size, reset=_leave, **self._connection_options
                )
        return self._pool

    @asynccontextmanager
    async def _session(self, kind: type[SessionType], scope: Scope) -> AsyncIterator[SessionType]:
        async with self._turn(), kind(self.engine, scope, self.application_name) as session:
            yield session

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT):
                await self._queue.acquire()
        except TimeoutError:
            raise DatabaseBusy from None
        try:
            yield
        finally:
            self._queue.release()
