"""Composition root of the worker: `python -m events_service.worker --run relay,consumers,jobs`."""

import sys
from collections.abc import Sequence
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
from shared.composition.worker import ServiceWorker
from shared.directory import replica
from shared.kernel.clock import Clock
from shared.messaging.worker import WorkerSetup, serve
from shared.security.rotation import WrappedKeys
from shared.settings import WORKER_NEEDS, load

SERVICE = "events"
#: Tables with rows in the tree (columns `organisation_id` and `path`), an owner before what is copied from it.
MOVED_ALONG: Final[tuple[str, ...]] = ("activities", "activity_seats", "registrations")

#: All that is wrapped by the key-encryption key: seeds of lotteries that are not drawn, keys of comments.
WRAPPED_KEYS: Final = (
    WrappedKeys(lotteries, id_column="activity_id", column="seed_wrapped"),
    WrappedKeys(feedback, id_column="registration_id"),
)


def build(settings: Settings, *, clock: Clock | None = None) -> WorkerSetup:
    """All that this worker can run."""
    worker = ServiceWorker(SERVICE, settings, clock)
    directory, effect = replica.handler(MOVED_ALONG), effects.handler(MOVED_ALONG, worker.clock)
    return worker.setup(
        {
            MOVE_ON: move_on(worker.clock),
            CANCEL_REGISTRATIONS: cancel_registrations(worker.clock),
            SETTLE: settle_lots(worker.clock),
        },
        {MOVE_ON: MOVE_ON_EVERY},
        invariants=INVARIANTS,
        wrapped_keys=WRAPPED_KEYS,
        consumers=(
            worker.consumer(consumers.DIRECTORY, replica.TOPICS_WITH_MEMBERS, directory, "projection"),
            worker.consumer(consumers.EFFECTS, effects.TOPICS, effect, "effects"),
        ),
    )


def main(argv: Sequence[str]) -> None:
    """Run until told to stop."""
    settings = load(Settings, *WORKER_NEEDS)
    serve(build(settings), settings, argv)


if __name__ == "__main__":
    main(sys.argv[1:])
