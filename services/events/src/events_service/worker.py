"""Composition root of the worker: `python -m events_service.worker --run relay,consumers,jobs`."""

import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from events_service import consumers, effects
from events_service.activities.jobs import MOVE_ON, MOVE_ON_EVERY, move_on
from events_service.activities.use_cases import CANCEL_REGISTRATIONS
from events_service.feedback.tables import feedback
from events_service.invariants import INVARIANTS
from events_service.lottery.jobs import settle_lots
from events_service.lottery.tables import lotteries
from events_service.lottery.use_cases import SETTLE
from events_service.registrations.jobs import cancel_registrations
from events_service.settings import Settings
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

SERVICE = "events"
FORGET_KEYS: Final = "idempotency.forget"
FORGET_KEYS_EVERY: Final = timedelta(hours=1)
#: Tables with rows in the tree (columns `organisation_id` and `path`), an owner before what is copied from it.
MOVED_ALONG: Final[tuple[str, ...]] = ("activities", "activity_seats", "registrations")

#: All that is wrapped by the key-encryption key: seeds of lotteries that are not drawn, keys of comments.
WRAPPED_KEYS: Final = (
    WrappedKeys(lotteries, id_column="activity_id", column="seed_wrapped"),
    WrappedKeys(feedback, id_column="registration_id"),
)


def build(settings: Settings, *, clock: Clock | None = None) -> WorkerSetup:
    """All that this worker can run."""
    texts.register("events_service")
    if settings.keys_file is None:
        raise ValueError("keys_file is needed")
    database = Database(
        settings.worker_database_url, pool_size=settings.database_pool, application_name=f"{SERVICE}-worker"
    )
    ring = KeyRing.load(settings.keys_file)
    kafka = settings.kafka_bootstrap
    clock = clock or SystemClock()
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
            Consumer(
                consumers.EFFECTS,
                effects.TOPICS,
                effects.handler(MOVED_ALONG, clock),
                "effects",
                database,
                kafka,
            ),
        ),
        jobs=_jobs(database, ring, clock),
        on_stop=(database.close,),
    )


def _jobs(database: Database, ring: KeyRing, clock: Clock) -> JobRunner:
    async def forget_keys(job: JobContext) -> None:
        async with job.chunk() as session:
            await forget_old_keys(session, clock.now())

    return JobRunner(
        database,
        {
            CHAIN_JOB: chain_handler(ring),
            FORGET_KEYS: forget_keys,
            MOVE_ON: move_on(clock),
            CANCEL_REGISTRATIONS: cancel_registrations(clock),
            SETTLE: settle_lots(clock),
            UPKEEP_JOB: upkeep_handler(clock),
            WATCH_JOB: watch_handler(INVARIANTS),
            ROTATION_JOB: rotation_handler(ring, WRAPPED_KEYS),
        },
        every={
            CHAIN_JOB: CHAIN_EVERY,
            FORGET_KEYS: FORGET_KEYS_EVERY,
            MOVE_ON: MOVE_ON_EVERY,
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
