"""What everybody may do with jobs: ask for one, look at it, ask for its end."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import ReadSession, WriteSession
from shared.kernel.ids import new_id

_ENQUEUE = text("""
    INSERT INTO jobs (id, kind, payload, run_after) VALUES (:id, :kind, CAST(:payload AS jsonb), coalesce(:run_after, now()))
""")
_STATUS = text("""
    SELECT id, kind, state, progress, attempts, cancel_requested, error, run_after, created_at, finished_at,
        state IN ('waiting', 'running') AND coalesce(leased_until, run_after) < now() - interval '30 s' AS unattended
    FROM jobs WHERE id = :id
""")
_CANCEL = text("""
    UPDATE jobs SET cancel_requested = true,
        state = CASE WHEN state = 'waiting' THEN 'cancelled' ELSE state END,
        finished_at = CASE WHEN state = 'waiting' THEN now() ELSE finished_at END
    WHERE id = :id AND state IN ('waiting', 'running') AND NOT periodic
    RETURNING id
""")


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job as people may see it. `state`: waiting, running, done, failed or cancelled; `error` holds no personal data.

    `unattended`: it could be worked on and nobody has begun for half a minute. No worker is up, or all are busy.
    """

    id: UUID
    kind: str
    state: str
    progress: dict[str, Any]
    attempts: int
    cancel_requested: bool
    error: str | None
    run_after: datetime
    created_at: datetime
    finished_at: datetime | None
    unattended: bool


async def enqueue(
    session: WriteSession, kind: str, payload: dict[str, Any], run_after: datetime | None = None
) -> UUID:
    """Ask for a job with this transaction: it exists if that commits. Its id. `payload` holds ids and numbers only."""
    job_id = new_id()
    parameters = {
        "id": job_id,
        "kind": kind,
        "payload": orjson.dumps(payload).decode(),
        "run_after": run_after,
    }
    await session.execute(_ENQUEUE, parameters)
    return job_id


async def submit(database: Database, kind: str, payload: dict[str, Any]) -> UUID:
    """Ask for a job in a transaction of its own, as the worker: for operators' commands. Its id."""
    async with database.write(Scope.everything()) as session:
        job_id = await enqueue(session, kind, payload)
        await session.commit()
    return job_id


async def job_status(session: ReadSession, job_id: UUID) -> JobStatus | None:
    """How a job stands."""
    row = (await session.execute(_STATUS, {"id": job_id})).mappings().one_or_none()
    return None if row is None else JobStatus(**row)


async def request_cancel(session: WriteSession, job_id: UUID) -> bool:
    """End a waiting job, ask a running one to stop after its chunk; False if there is nothing to end."""
    return (await session.execute(_CANCEL, {"id": job_id})).first() is not None
