"""Composition root of the worker: `python -m welfare_service.worker --run relay,consumers,jobs`."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from shared.database.engine import Database
from shared.directory import replica
from shared.jobs import UPKEEP_EVERY, UPKEEP_JOB, JobContext, JobRunner, upkeep_handler
from shared.kernel import texts
from shared.kernel.clock import Clock, SystemClock
from shared.messaging.consumer import Consumer
from shared.messaging.relay import Relay
from shared.messaging.worker import WorkerSetup, serve
from shared.security.chain import CHAIN_EVERY, CHAIN_JOB, chain_handler
from shared.security.keys import KeyRing
from shared.security.rotation import ROTATION_JOB, WrappedKeys, rotation_handler
from shared.settings import WORKER_NEEDS, load
from shared.web.idempotency import forget_old_keys
from shared.web.invariants import WATCH_EVERY, WATCH_JOB, watch_handler
from welfare_service import consumers, effects
from welfare_service.cases.tables import cases
from welfare_service.dossiers import jobs as dossier_jobs
from welfare_service.dossiers.tables import dossier_persons, dossiers
from welfare_service.invariants import INVARIANTS
from welfare_service.payouts import jobs as payouts
from welfare_service.payouts.use_cases import SEND
from welfare_service.settings import Settings

SERVICE = "welfare"
FORGET_KEYS: Final = "idempotency.forget"
FORGET_KEYS_EVERY: Final = timedelta(hours=1)
#: Tables with rows in the tree (columns `organisation_id` and `path`), an owner before what is copied from it.
MOVED_ALONG: Final[tuple[str, ...]] = (
    "rules",
    "dossiers",
    "dossier_reviews",
    "budgets",
    "programmes",
    "cases",
    "payouts",
    "payout_findings",
)


#: All keys that are wrapped by the key-encryption key.
WRAPPED_KEYS: Final = (WrappedKeys(dossiers), WrappedKeys(dossier_persons), WrappedKeys(cases))


def build(settings: Settings, *, clock: Clock | None = None) -> WorkerSetup:
    """All that this worker can run."""
    texts.register("welfare_service")
    if settings.keys_file is None:
        raise ValueError("keys_file is needed")
    database = Database(
        settings.worker_database_url, pool_size=settings.database_pool, application_name=f"{SERVICE}-worker"
    )
    ring = KeyRing.load(settings.keys_file)
    kafka = settings.kafka_bootstrap
    directory = replica.handler(MOVED_ALONG)
    return WorkerSetup(
        service=SERVICE,
        host=settings.http_host,
        port=settings.worker_port,
        relay=Relay(settings.worker_database_url, kafka, SERVICE),
        consumers=(
            Consumer(
                consumers.DIRECTORY, replica.TOPICS_WITH_MEMBERS, directory, "projection", database, kafka
            ),
            Consumer(consumers.EFFECTS, effects.TOPICS, effects.apply, "effects", database, kafka, "latest"),
        ),
        jobs=_jobs(settings, database, ring, clock or SystemClock()),
        on_stop=(database.close,),
    )


def _jobs(settings: Settings, database: Database, ring: KeyRing, clock: Clock) -> JobRunner:
    payout_jobs = payouts.PayoutJobs(database, ring, clock, settings.bank_url)

    async def forget_keys(job: JobContext) -> None:
        async with job.chunk() as session:
            await forget_old_keys(session, clock.now())

    return JobRunner(
        database,
        {
            SEND: payout_jobs.send,
            payouts.ASK: payout_jobs.ask,
            dossier_jobs.RECHECK: dossier_jobs.recheck(clock),
            dossier_jobs.FORGET_USES: dossier_jobs.forget_uses(clock),
            dossier_jobs.REINDEX: dossier_jobs.reindex(ring),
            CHAIN_JOB: chain_handler(ring),
            FORGET_KEYS: forget_keys,
            UPKEEP_JOB: upkeep_handler(clock),
            WATCH_JOB: watch_handler(INVARIANTS),
            ROTATION_JOB: rotation_handler(ring, WRAPPED_KEYS),
        },
        every={
            payouts.ASK: payouts.ASK_EVERY,
            dossier_jobs.RECHECK: dossier_jobs.RECHECK_EVERY,
            dossier_jobs.FORGET_USES: dossier_jobs.FORGET_USES_EVERY,
            dossier_jobs.REINDEX: dossier_jobs.REINDEX_EVERY,
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
