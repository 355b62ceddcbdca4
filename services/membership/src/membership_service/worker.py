"""Composition root of the worker: `python -m membership_service.worker --run relay,consumers,jobs`.

This service owns what it reads, so it consumes nobody's events yet.
"""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from membership_service.index_rotation.jobs import REINDEX, REINDEX_EVERY, reindex_handler
from membership_service.invariants import INVARIANTS
from membership_service.members.jobs import (
    ESCALATE,
    ESCALATE_EVERY,
    FORGET_USES,
    FORGET_USES_EVERY,
    escalate_unanswered,
    forget_uses,
)
from membership_service.members.tables import members
from membership_service.organisations.jobs import PLANS, PLANS_EVERY, carry_out_plans
from membership_service.rosters import jobs as rosters
from membership_service.rosters.tables import roster_imports
from membership_service.rosters.use_cases import APPLY, CHECK, UNDO
from membership_service.settings import Settings
from shared.database.engine import Database
from shared.jobs import UPKEEP_EVERY, UPKEEP_JOB, JobContext, JobRunner, upkeep_handler
from shared.kernel import texts
from shared.kernel.clock import Clock, SystemClock
from shared.messaging.relay import Relay
from shared.messaging.worker import WorkerSetup, serve
from shared.security.chain import CHAIN_EVERY, CHAIN_JOB, chain_handler
from shared.security.keys import KeyRing
from shared.security.rotation import ROTATION_JOB, WrappedKeys, rotation_handler
from shared.settings import WORKER_NEEDS, load
from shared.web.idempotency import forget_old_keys
from shared.web.invariants import WATCH_EVERY, WATCH_JOB, watch_handler

SERVICE = "membership"
FORGET_KEYS: Final = "idempotency.forget"
FORGET_KEYS_EVERY: Final = timedelta(hours=1)
#: All keys that are wrapped by the key-encryption key. A staged row brings its key along when its roster is applied.
WRAPPED_KEYS: Final = (WrappedKeys(members), WrappedKeys(roster_imports, column="file_key_wrapped"))


def build(settings: Settings, *, clock: Clock | None = None) -> WorkerSetup:
    """All that this worker can run."""
    texts.register("membership_service")
    if settings.keys_file is None:
        raise ValueError("keys_file is needed")
    database = Database(
        settings.worker_database_url, pool_size=settings.database_pool, application_name=f"{SERVICE}-worker"
    )
    return WorkerSetup(
        service=SERVICE,
        host=settings.http_host,
        port=settings.worker_port,
        relay=Relay(settings.worker_database_url, settings.kafka_bootstrap, SERVICE),
        jobs=_jobs(settings, database, clock or SystemClock()),
        on_stop=(database.close,),
    )


def _jobs(settings: Settings, database: Database, clock: Clock) -> JobRunner:
    if settings.keys_file is None:
        raise ValueError("keys_file is needed")
    ring = KeyRing.load(settings.keys_file)
    roster_jobs = rosters.RosterJobs(database, ring, settings.keys_file, clock)

    async def forget_keys(job: JobContext) -> None:
        async with job.chunk() as session:
            await forget_old_keys(session, clock.now())

    return JobRunner(
        database,
        {
            PLANS: carry_out_plans(clock),
            ESCALATE: escalate_unanswered(clock),
            FORGET_USES: forget_uses(clock),
            CHECK: roster_jobs.check,
            APPLY: roster_jobs.apply,
            UNDO: roster_jobs.undo,
            rosters.EXPIRE: roster_jobs.expire,
            CHAIN_JOB: chain_handler(ring),
            FORGET_KEYS: forget_keys,
            UPKEEP_JOB: upkeep_handler(clock),
            WATCH_JOB: watch_handler(INVARIANTS),
            REINDEX: reindex_handler(ring, clock),
            ROTATION_JOB: rotation_handler(ring, WRAPPED_KEYS),
        },
        every={
            PLANS: PLANS_EVERY,
            ESCALATE: ESCALATE_EVERY,
            FORGET_USES: FORGET_USES_EVERY,
            REINDEX: REINDEX_EVERY,
            rosters.EXPIRE: rosters.EXPIRE_EVERY,
            CHAIN_JOB: CHAIN_EVERY,
            FORGET_KEYS: FORGET_KEYS_EVERY,
            UPKEEP_JOB: UPKEEP_EVERY,
            WATCH_JOB: WATCH_EVERY,
        },
    )


def main(argv: Sequence[str]) -> None:
    """Run until told to stop."""
    settings = load(Settings, *WORKER_NEEDS)
    serve(build(settings), settings, argv)


if __name__ == "__main__":
    main(sys.argv[1:])
