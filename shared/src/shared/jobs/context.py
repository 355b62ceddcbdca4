"""A job under way: its chunks are transactions, each with the job's progress and the proof that nobody else has it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import WriteSession, driver
from shared.kernel.crash import crash_point

# Progress proves that the job gets on: its tries count from here again.
_HOLD = """
    UPDATE jobs SET progress = $3::jsonb, leased_until = now() + $4, attempts = 0
    WHERE id = $1 AND lease = $2 AND state = 'running' RETURNING cancel_requested
"""
_BEAT = """
    UPDATE jobs SET leased_until = now() + $3 WHERE id = $1 AND lease = $2 AND state = 'running' RETURNING cancel_requested
"""


class LeaseLost(RuntimeError):
    """Another run has the job by now; what this one has not committed is void."""


class JobStopped(RuntimeError):
    """The worker is to stop: the job goes on later from its last chunk."""


class JobContext:
    """What a handler gets. `progress` is stored with every chunk and is what a later run finds."""

    def __init__(self, row: asyncpg.Record, lease: UUID, lease_time: timedelta, database: Database) -> None:
        self.id: UUID = row["id"]
        self.kind: str = row["kind"]
        self.payload: dict[str, Any] = orjson.loads(row["payload"])
        self.progress: dict[str, Any] = orjson.loads(row["progress"])
        self.cancelled: bool = row["cancel_requested"]
        self.stopping = False
        self.lease = lease
        self._lease_time = lease_time
        self._database = database

    @asynccontextmanager
    async def chunk(self) -> AsyncIterator[WriteSession]:
        """A transaction of the job, as the worker; leaving it commits it together with `progress`.

        Raises LeaseLost (then nothing is committed) and, before a chunk begins, JobStopped.
        """
        if self.stopping:
            raise JobStopped
        async with self._database.write(Scope.everything()) as session:
            yield session
            connection = await driver(session)
            progress = orjson.dumps(self.progress).decode()
            held = await connection.fetchrow(_HOLD, self.id, self.lease, progress, self._lease_time)
            if held is None:
                raise LeaseLost
            await session.flush_events()
            crash_point("job.mid_chunk")
            await session.commit()
        self.cancelled = held["cancel_requested"]

    async def beat(self) -> None:
        """Keep the job while its handler works outside of chunks. Raises LeaseLost."""
        async with self._database.driver() as connection:
            held = await connection.fetchrow(_BEAT, self.id, self.lease, self._lease_time)
        if held is None:
            raise LeaseLost
        self.cancelled = held["cancel_requested"]


JobHandler = Callable[[JobContext], Awaitable[None]]
