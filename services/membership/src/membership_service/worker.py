"""Composition root of the worker: `python -m membership_service.worker --run relay,consumers,jobs`.

This service owns what it reads, so it consumes nobody's events yet.
"""

import sys
from collections.abc import Sequence
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
from shared.composition.worker import ServiceWorker
from shared.kernel.clock import Clock
from shared.messaging.worker import WorkerSetup, serve
from shared.security.rotation import WrappedKeys
from shared.settings import WORKER_NEEDS, load

SERVICE = "membership"
#: All keys that are wrapped by the key-encryption key. A staged row brings its key along when its roster is applied.
WRAPPED_KEYS: Final = (WrappedKeys(members), WrappedKeys(roster_imports, column="file_key_wrapped"))


def build(settings: Settings, *, clock: Clock | None = None) -> WorkerSetup:
    """All that this worker can run."""
    worker = ServiceWorker(SERVICE, settings, clock)
    clock = worker.clock
    roster_jobs = rosters.RosterJobs(worker.database, worker.ring, settings.keys_file, clock)
    return worker.setup(
        {
            PLANS: carry_out_plans(clock),
            ESCALATE: escalate_unanswered(clock),
            FORGET_USES: forget_uses(clock),
            CHECK: roster_jobs.check,
            APPLY: roster_jobs.apply,
            UNDO: roster_jobs.undo,
            rosters.EXPIRE: roster_jobs.expire,
            REINDEX: reindex_handler(worker.ring, clock),
        },
        {
            PLANS: PLANS_EVERY,
            ESCALATE: ESCALATE_EVERY,
            FORGET_USES: FORGET_USES_EVERY,
            rosters.EXPIRE: rosters.EXPIRE_EVERY,
            REINDEX: REINDEX_EVERY,
        },
        invariants=INVARIANTS,
        wrapped_keys=WRAPPED_KEYS,
    )


def main(argv: Sequence[str]) -> None:
    """Run until told to stop."""
    settings = load(Settings, *WORKER_NEEDS)
    serve(build(settings), settings, argv)


if __name__ == "__main__":
    main(sys.argv[1:])
