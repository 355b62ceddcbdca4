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
from shared.composition.worker import ServiceWorker
from shared.directory import replica
from shared.messaging.worker import WorkerSetup, serve
from shared.settings import WORKER_NEEDS, load

SERVICE = "gateway"


def build(settings: Settings) -> WorkerSetup:
    """All that this worker can run."""
    worker = ServiceWorker(SERVICE, settings)
    return worker.setup(
        {REBUILD: rebuild},
        {},
        invariants=INVARIANTS,
        consumers=(
            worker.consumer(consumers.DIRECTORY, replica.TOPICS, replica.apply, "projection"),
            worker.consumer(consumers.VIEWS, views.TOPICS, views.apply, "projection"),
        ),
    )


def main(argv: Sequence[str]) -> None:
    """Run until told to stop."""
    settings = load(Settings, *WORKER_NEEDS)
    serve(build(settings), settings, argv)


if __name__ == "__main__":
    main(sys.argv[1:])
