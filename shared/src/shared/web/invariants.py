"""What must hold in a service's own database, as queries for whatever breaks it: part of `unionhall verify`.

A service has `python -m NAME_service.invariants`: its own queries, and those that hold for every service. It reads the
worker's settings, prints one JSON list and ends with 1 if something is broken. The worker looks by itself every hour and sets
`unionhall_invariant_breaches`.
"""

import asyncio
import json
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import text

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import ReadSession
from shared.jobs import JobContext, JobHandler
from shared.observability.metrics import INVARIANT_BREACHES
from shared.security.keys import KeyRing
from shared.settings import ServiceSettings, load
from shared.web.idempotency import unreadable_replies

logger = logging.getLogger(__name__)

#: Offenders named; there may be more.
NAMED = 20
WATCH_JOB: Final = "invariants.watch"
WATCH_EVERY: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Invariant:
    """`id` as `unionhall verify` shows it ("I12"); `offenders` is a SELECT whose rows break it, their id in the first column."""

    id: str
    what: str
    offenders: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Whom an invariant found: empty when it holds. `what` says in which respect, as a word of the data model."""

    id: str
    what: str
    offenders: list[str]


async def examine(session: ReadSession, ring: KeyRing, invariants: Sequence[Invariant]) -> list[Finding]:
    """Look at all of them in the one snapshot of `session`, which must see all rows."""
    found = [await _look(session, invariant) for invariant in invariants]
    found.append(Finding("I9", "idempotency_keys", await unreadable_replies(session, ring, NAMED)))
    return found


def watch_handler(invariants: Sequence[Invariant]) -> JobHandler:
    """The job that every worker runs: the metric of each invariant's id, 0 when it holds; breaches are named in the log.

    Each query is a transaction of its own. With several workers the one that ran the job last knows best.
    """

    async def watch(job: JobContext) -> None:
        breaches: Counter[str] = Counter()
        for invariant in invariants:
            async with job.chunk() as session:
                found = await _look(session, invariant)
            breaches[found.id] += len(found.offenders)
            if found.offenders:
                logger.error(
                    "invariant %s is broken: %s %s", found.id, found.what, ", ".join(found.offenders)
                )
        for id_, count in breaches.items():
            INVARIANT_BREACHES.labels(id_).set(count)

    return watch


def run(invariants: Sequence[Invariant]) -> int:
    """The program of a service; 0 when all of them hold."""
    settings = load(ServiceSettings, "worker_database_url", "keys_file")
    found = asyncio.run(_examine(settings, invariants))
    sys.stdout.write(json.dumps([_shown(finding) for finding in found]) + "\n")
    return 1 if any(finding.offenders for finding in found) else 0


async def _examine(settings: ServiceSettings, invariants: Sequence[Invariant]) -> list[Finding]:
    ring = KeyRing.load(settings.keys_file)
    database = Database(settings.worker_database_url, pool_size=1, application_name="invariants")
    try:
        async with database.read(Scope.everything()) as session:
            return await examine(session, ring, invariants)
    finally:
        await database.close()


async def _look(session: ReadSession, invariant: Invariant) -> Finding:
    query = f"SELECT * FROM ({invariant.offenders}) AS offender LIMIT {NAMED}"  # noqa: S608 - the service's own
    rows = await session.execute(text(query))
    return Finding(invariant.id, invariant.what, [str(row[0]) for row in rows])


def _shown(finding: Finding) -> dict[str, Any]:
    return {"id": finding.id, "what": finding.what, "offenders": finding.offenders}
