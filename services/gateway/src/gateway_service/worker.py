"""Composition root of the gateway's worker: `python -m gateway_service.worker --run relay,consumers,jobs`.

The gateway owns no aggregate; its relay carries the mirrors of dead letters.
"""

import sys
from collections.abc import Sequence

from gateway_service import consumers
from gateway_service.dashboard import handlers as views
from gateway_service.dashboard.jobs import REBUILD, rebuild
from gateway_service.invariants import INVARIANTS
from gateway_service.settings import Settings
from shared.database.engine import Database
from shared.directory import replica
from shared.jobs import UPKEEP_EVERY, UPKEEP_JOB, JobRunner, upkeep_handler
from shared.kernel import texts
from shared.kernel.clock import SystemClock
from shared.messaging.consumer import Consumer
from shared.messaging.relay import Relay
from shared.messaging.worker import WorkerSetup, serve
from shared.security.chain import CHAIN_EVERY, CHAIN_JOB, chain_handler
from shared.security.keys import KeyRing
from shared.settings import WORKER_NEEDS, load
from shared.web.invariants import WATCH_EVERY, WATCH_JOB, watch_handler

SERVICE = "gateway"


def build(settings: Settings) -> WorkerSetup:
    """All that this worker can run."""
    texts.register("gateway_service")
    if settings.keys_file is None:
        raise ValueError("keys_file is needed")
    database = Database(
        settings.worker_database_url, pool_size=settings.database_pool, application_name=f"{SERVICE}-worker"
    )
    kafka = settings.kafka_bootstrap
    return WorkerSetup(
        service=SERVICE,
        host=settings.http_host,
        port=settings.worker_port,
        relay=Relay(settings.worker_database_url, kafka, SERVICE),
        consumers=(
            Consumer(consumers.DIRECTORY, replica.TOPICS, replica.apply, "projection", database, kafka),
            Consumer(consumers.VIEWS, views.TOPICS, views.apply, "projection", database, kafka),
        ),
        jobs=JobRunner(
            database,
            {
                REBUILD: rebuild,
                CHAIN_JOB: chain_handler(KeyRing.load(settings.keys_file)),
                UPKEEP_JOB: upkeep_handler(SystemClock()),
                WATCH_JOB: watch_handler(INVARIANTS),
            },
            every={CHAIN_JOB: CHAIN_EVERY, UPKEEP_JOB: UPKEEP_EVERY, WATCH_JOB: WATCH_EVERY},
        ),
        on_stop=(database.close,),
    )


def main(argv: Sequence[str]) -> None:
    """Run until told to stop."""
    settings = load(Settings, *WORKER_NEEDS)
    serve(build(settings), settings, argv)


if __name__ == "__main__":
    main(sys.argv[1:])
