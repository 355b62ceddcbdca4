"""Runs jobs: leased with SKIP LOCKED, so any number of workers may run; a dead worker's jobs go on when their lease ends."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import asyncpg

from shared.database.engine import Database
from shared.database.failures import is_database_lost
from shared.jobs.context import JobContext, JobHandler, JobStopped, LeaseLost
from shared.kernel.errors import DomainError, Unavailable
from shared.kernel.ids import new_id
from shared.messaging.dead_letters import cause_of
from shared.messaging.parts import Backoff, Reason, wait_for_stop
from shared.observability.metrics import JOBS

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
POLL = 0.25
#: Runs without any progress between them before a job is given up.
ATTEMPTS = 5
RETRY_AFTER = timedelta(seconds=2)
#: Seconds that running jobs have to come to the end of their chunk when the worker stops.
GRACE = 10.0

_CLAIM = """
    UPDATE jobs SET state = 'running', lease = $1, leased_until = now() + $2, attempts = attempts + 1
    WHERE id = (
        SELECT id FROM jobs
        WHERE kind = ANY ($3) AND ((state = 'waiting' AND run_after <= now()) OR (state = 'running' AND leased_until < now()))
        ORDER BY run_after LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, kind, payload::text, progress::text, attempts, cancel_requested
"""
_SCHEDULE = """
    INSERT INTO jobs (id, kind, periodic) VALUES ($1, $2, true) ON CONFLICT (kind) WHERE periodic DO NOTHING
"""
_FINISH = """
    UPDATE jobs SET state = $3, error = $4, lease = NULL, leased_until = NULL, finished_at = now()
    WHERE id = $1 AND lease = $2
"""
_WAIT = """
    UPDATE jobs SET state = 'waiting', error = $4, lease = NULL, leased_until = NULL, run_after = now() + $3,
        attempts = CASE WHEN $5 THEN 0 ELSE attempts END
    WHERE id = $1 AND lease = $2
"""


class JobRunner:
    """The part of a worker that runs jobs."""

    name = "jobs"

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, JobHandler],
        *,
        every: Mapping[str, timedelta] | None = None,
        parallel: int = 2,
        lease: timedelta = LEASE,
    ) -> None:
        """`database` is the worker's; `handlers` by kind. Kinds in `every` run again and again at that distance, one at a time.

        Each of those has a lane of its own, so that long jobs do not hold it up.
        """
        self._database = database
        self._handlers = dict(handlers)
        self._every = dict(every or {})
        self._parallel = parallel
        self._lease = lease
        self._reason: Reason | None = None
        if unknown := self._every.keys() - self._handlers.keys():
            raise ValueError(f"periodic jobs without a handler: {sorted(unknown)}")

    def reasons(self) -> list[Reason]:
        """Not ready while the database is away."""
        return [self._reason] if self._reason else []

    async def run(self, stop: asyncio.Event) -> None:
        """Run jobs until `stop`."""
        once = [kind for kind in self._handlers if kind not in self._every]
        lanes = [self._lane(once, stop) for _ in range(self._parallel if once else 0)]
        lanes += [self._lane([kind], stop) for kind in self._every]
        await asyncio.gather(*lanes)

    async def _lane(self, kinds: Sequence[str], stop: asyncio.Event) -> None:
        backoff = Backoff()
        while not stop.is_set():
            try:
                await self._schedule(kinds)
                while not stop.is_set():
                    ran = await self._run_one(kinds, stop)
                    self._reason = None
                    backoff.reset()
                    if not ran:
                        await wait_for_stop(stop, POLL)
            except Exception as error:
                self._reason = Reason("jobs-database-down", {"cause": type(error).__name__})
                logger.warning("jobs wait: %s", type(error).__name__)
                await backoff.pause(stop)

    async def _schedule(self, kinds: Sequence[str]) -> None:
        async with self._database.driver() as connection:
            for kind in kinds:
                if kind in self._every:
                    await connection.execute(_SCHEDULE, new_id(), kind)

    async def _run_one(self, kinds: Sequence[str], stop: asyncio.Event) -> bool:
        """Lease one due job and run it; False if none is due."""
        lease = new_id()
        async with self._database.driver() as connection:
            row = await connection.fetchrow(_CLAIM, lease, self._lease, list(kinds))
        if row is None:
            return False
        job = JobContext(row, lease, self._lease, self._database)
        outcome = await self._end(job, row, await self._attempt(job, stop))
        JOBS.labels(kind=job.kind, outcome=outcome).inc()
        return True

    async def _attempt(self, job: JobContext, stop: asyncio.Event) -> BaseException | None:
        """Run the handler with a heartbeat beside it; what it failed with, None if it came to its end."""
        work = asyncio.ensure_future(self._handlers[job.kind](job))
        beat = asyncio.create_task(self._beat(job))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, beat, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not beat.done():
                job.stopping = True
                await asyncio.wait({work, beat}, timeout=GRACE, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await work
                return beat.exception() if beat.done() else JobStopped()
            return work.exception()
        finally:
            for task in (work, beat, stopping):
                task.cancel()
            await asyncio.gather(work, beat, stopping, return_exceptions=True)

    async def _beat(self, job: JobContext) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            try:
                await job.beat()
            except LeaseLost:
                raise
            except Exception as error:
                # The lease may end meanwhile; then the next beat says so.
                logger.warning("job %s could not renew its lease: %s", job.id, type(error).__name__)

    async def _end(self, job: JobContext, row: asyncpg.Record, failure: BaseException | None) -> str:
        """Note how the run ended; its outcome."""
        if isinstance(failure, LeaseLost):
            logger.warning("job %s was taken over by another run", job.id)
            return "lease-lost"
        if isinstance(failure, JobStopped):
            await self._wait(job, timedelta(0), None, fresh=False)
            return "stopped"
        if failure is not None:
            return await self._fail(job, row["attempts"], failure)
        if job.kind in self._every:
            await self._wait(job, self._every[job.kind], None, fresh=True)
        else:
            await self._finish(job, "cancelled" if job.cancelled else "done", None)
        return "done"

    async def _fail(self, job: JobContext, attempts: int, failure: BaseException) -> str:
        cause = cause_of(failure)
        logger.error(
            "job %s (%s) failed: %s", job.id, job.kind, cause.text, extra={"stack": cause.stack[-6:]}
        )
        if job.kind in self._every:
            await self._wait(job, self._every[job.kind], cause.text, fresh=True)
            return "failed"
        refused = isinstance(failure, DomainError) and not isinstance(failure, Unavailable)
        if is_database_lost(failure):
            await self._wait(job, RETRY_AFTER, cause.text, fresh=True)
        elif refused or attempts >= ATTEMPTS:
            await self._finish(job, "failed", cause.text)
            return "failed"
        else:
            await self._wait(job, RETRY_AFTER * 2 ** (attempts - 1), cause.text, fresh=False)
        return "retried"

    async def _finish(self, job: JobContext, state: str, error: str | None) -> None:
        async with self._database.driver() as connection:
            await connection.execute(_FINISH, job.id, job.lease, state, error)

    async def _wait(self, job: JobContext, delay: timedelta, error: str | None, *, fresh: bool) -> None:
        async with self._database.driver() as connection:
            await connection.execute(_WAIT, job.id, job.lease, delay, error, fresh)
