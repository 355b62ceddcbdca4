"""Jobs on real PostgreSQL: leased once, committed in chunks, resumed where they were, given up after some tries."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import driver
from shared.jobs import (
    JobContext,
    JobHandler,
    JobRunner,
    JobStatus,
    LeaseLost,
    enqueue,
    job_status,
    request_cancel,
    upkeep_handler,
)
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.testing import Eventually, StoppedClock
from shared.testing.databases import DatabaseFactory
from tests.support.scratch import SERVICE, prepare


class Office:
    """The application that asks for jobs and the worker that does them."""

    def __init__(self, app: Database, worker: Database) -> None:
        self.app, self.worker = app, worker
        self._running: list[tuple[asyncio.Event, asyncio.Task[None]]] = []

    async def ask(self, kind: str, payload: dict[str, Any] | None = None, **options: Any) -> UUID:
        async with self.app.write(Scope.nothing()) as session:
            job_id = await enqueue(session, kind, payload or {}, **options)
            await session.commit()
            return job_id

    async def status(self, job_id: UUID) -> JobStatus:
        async with self.app.read(Scope.nothing()) as session:
            found = await job_status(session, job_id)
            assert found is not None
            return found

    async def is_(self, job_id: UUID, state: str) -> bool:
        return (await self.status(job_id)).state == state

    def start(self, handlers: dict[str, JobHandler], **options: Any) -> asyncio.Event:
        stop = asyncio.Event()
        runner = JobRunner(self.worker, handlers, **options)
        self._running.append((stop, asyncio.create_task(runner.run(stop))))
        return stop

    async def close(self) -> None:
        for stop, task in self._running:
            stop.set()
            await task
        await self.app.close()
        await self.worker.close()

    async def rows(self, query: str) -> list[Any]:
        async with self.worker.driver() as connection:
            return [row[0] for row in await connection.fetch(query)]


@pytest.fixture
async def office(make_database: DatabaseFactory) -> AsyncIterator[Office]:
    urls = make_database(SERVICE, migrated=False)
    await asyncio.to_thread(
        prepare, urls, "CREATE TABLE done (step int)", "GRANT ALL ON done TO unionhall_scratch_worker"
    )
    made = Office(
        Database(urls.app, pool_size=4, application_name="app"),
        Database(urls.worker, pool_size=8, application_name="worker"),
    )
    yield made
    await made.close()


async def step(job: JobContext, number: int) -> None:
    async with job.chunk() as session:
        await (await driver(session)).execute("INSERT INTO done VALUES ($1)", number)
        job.progress["step"] = number


async def test_a_job_runs_once_though_two_workers_look(office: Office, eventually: Eventually) -> None:
    async def handler(job: JobContext) -> None:
        await step(job, job.payload["number"])

    for _ in range(2):
        office.start({"count": handler}, parallel=3)
    ids = [await office.ask("count", {"number": number}) for number in range(20)]
    for job_id in ids:
        await eventually(partial(office.is_, job_id, "done"))
    assert sorted(await office.rows("SELECT step FROM done")) == list(range(20))
    assert (await office.status(ids[7])).progress == {"step": 7}


async def test_a_job_of_a_transaction_that_failed_does_not_exist(office: Office) -> None:
    async with office.app.write(Scope.nothing()) as session:
        job_id = await enqueue(session, "count", {})
    async with office.app.read(Scope.nothing()) as session:
        assert await job_status(session, job_id) is None


async def test_a_job_waits_for_its_time(office: Office, eventually: Eventually) -> None:
    async def handler(job: JobContext) -> None:
        await step(job, 1)

    office.start({"later": handler})
    job_id = await office.ask("later", run_after=datetime.now(UTC) + timedelta(seconds=1.5))
    await asyncio.sleep(0.8)
    assert await office.is_(job_id, "waiting")
    await eventually(lambda: office.is_(job_id, "done"))


async def test_a_dead_workers_job_goes_on_from_its_last_chunk(office: Office, eventually: Eventually) -> None:
    hang = asyncio.Event()

    async def hangs_after_three(job: JobContext) -> None:
        for number in range(3):
            await step(job, number)
        await hang.wait()

    async def goes_on(job: JobContext) -> None:
        for number in range(job.progress.get("step", -1) + 1, 6):
            await step(job, number)

    lease = timedelta(seconds=1)
    dead = JobRunner(office.worker, {"long": hangs_after_three}, lease=lease)
    task = asyncio.create_task(dead.run(asyncio.Event()))
    job_id = await office.ask("long")
    await eventually(lambda: office.rows("SELECT 1 FROM done HAVING count(*) = 3"))
    # As after kill -9: nobody says goodbye, the lease runs out.
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await office.is_(job_id, "running")
    office.start({"long": goes_on}, lease=lease)
    await eventually(lambda: office.is_(job_id, "done"))
    assert await office.rows("SELECT step FROM done ORDER BY step") == [0, 1, 2, 3, 4, 5]


async def test_a_run_that_lost_its_lease_commits_nothing(office: Office, eventually: Eventually) -> None:
    refused: list[bool] = []

    async def overtaken(job: JobContext) -> None:
        async with office.worker.driver() as connection:
            await connection.execute("UPDATE jobs SET lease = gen_random_uuid()")
        try:
            await step(job, 1)
        except LeaseLost:
            refused.append(True)
            raise

    office.start({"long": overtaken})
    await office.ask("long")
    await eventually(lambda: refused)
    assert await office.rows("SELECT step FROM done") == []


async def test_the_heartbeat_keeps_a_job_that_works_outside_of_chunks(
    office: Office, eventually: Eventually
) -> None:
    async def slow(job: JobContext) -> None:
        await asyncio.sleep(2)
        await step(job, 1)

    for _ in range(2):
        office.start({"slow": slow}, lease=timedelta(seconds=0.9))
    job_id = await office.ask("slow")
    await eventually(lambda: office.is_(job_id, "done"))
    assert await office.rows("SELECT step FROM done") == [1]


async def test_a_failing_job_is_tried_again_and_given_up_with_its_reason(
    office: Office, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.jobs.runner.RETRY_AFTER", timedelta(milliseconds=20))
    tries: list[int] = []

    async def fails(job: JobContext) -> None:
        tries.append(1)
        async with job.chunk() as session:
            await (await driver(session)).execute("INSERT INTO done VALUES (1)")
            raise ValueError("no")

    async def refuses(job: JobContext) -> None:
        del job
        raise Conflict("planted-refusal")

    office.start({"fails": fails, "refuses": refuses})
    failing, refusing = await office.ask("fails"), await office.ask("refuses")
    await eventually(lambda: office.is_(failing, "failed"))
    assert len(tries) == 5
    assert (await office.status(failing)).error == "ValueError: no"
    assert await office.rows("SELECT step FROM done") == []
    await eventually(lambda: office.is_(refusing, "failed"))
    # A refusal stays one: it is not tried again.
    assert (await office.status(refusing)).attempts == 1


async def test_a_running_job_stops_when_asked_and_a_waiting_one_never_begins(
    office: Office, eventually: Eventually
) -> None:
    async def endless(job: JobContext) -> None:
        number = 0
        while not job.cancelled:
            await step(job, number)
            number += 1

    stop = office.start({"endless": endless}, parallel=1)
    running, waiting = await office.ask("endless"), await office.ask("endless")
    await eventually(lambda: office.rows("SELECT 1 FROM done LIMIT 1"))
    async with office.app.write(Scope.nothing()) as session:
        assert await request_cancel(session, waiting)
        assert await request_cancel(session, running)
        await session.commit()
    await eventually(lambda: office.is_(running, "cancelled"))
    assert await office.is_(waiting, "cancelled")
    stop.set()


async def test_a_stopping_worker_ends_its_chunk_and_leaves_the_rest(
    office: Office, eventually: Eventually
) -> None:
    async def long(job: JobContext) -> None:
        for number in range(job.progress.get("step", -1) + 1, 30):
            await step(job, number)
            await asyncio.sleep(0.05)

    stop = office.start({"long": long})
    job_id = await office.ask("long")
    await eventually(lambda: office.rows("SELECT 1 FROM done LIMIT 1"))
    stop.set()
    await eventually(lambda: office.is_(job_id, "waiting"))
    assert 0 < len(await office.rows("SELECT step FROM done")) < 30
    office.start({"long": long})
    await eventually(lambda: office.is_(job_id, "done"))
    assert await office.rows("SELECT step FROM done ORDER BY step") == list(range(30))


async def test_a_periodic_job_runs_again_and_again_and_survives_its_failures(
    office: Office, eventually: Eventually
) -> None:
    runs: list[int] = []

    async def sometimes(job: JobContext) -> None:
        runs.append(1)
        if len(runs) == 2:
            raise ValueError("now and then")
        await step(job, len(runs))

    for _ in range(2):
        office.start({"tick": sometimes}, every={"tick": timedelta(milliseconds=50)})
    await eventually(lambda: len(runs) >= 4)
    assert await office.rows("SELECT count(*) FROM jobs") == [1]


async def test_upkeep_throws_away_what_has_had_its_time_and_nothing_else(
    office: Office, eventually: Eventually
) -> None:
    moment = datetime(2026, 8, 1, tzinfo=UTC)
    old, young = (
        new_id(int(when.timestamp() * 1000)) for when in (datetime(2026, 3, 31, tzinfo=UTC), moment)
    )
    async with office.worker.driver() as connection:
        await connection.executemany("INSERT INTO inbox VALUES ($1, 'test')", [(old,), (young,)])
        await connection.executemany(
            "INSERT INTO jobs (id, kind, state, finished_at) VALUES ($1, 'past', 'done', $2)",
            [(new_id(), moment - timedelta(days=31)), (new_id(), moment)],
        )
    office.start({"upkeep": upkeep_handler(StoppedClock(moment))})
    job_id = await office.ask("upkeep")
    await eventually(lambda: office.is_(job_id, "done"))
    assert await office.rows("SELECT event_id FROM inbox") == [young]
    assert await office.rows("SELECT count(*) FROM jobs WHERE kind = 'past'") == [1]
