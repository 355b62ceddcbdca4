"""Composition root of the worker: `python -m welfare_service.worker --run relay,consumers,jobs`."""

import sys
from collections.abc import Sequence
from typing import Final

from shared.composition.worker import ServiceWorker
from shared.directory import replica
from shared.kernel.clock import Clock
from shared.messaging.worker import WorkerSetup, serve
from shared.security.rotation import WrappedKeys
from shared.settings import WORKER_NEEDS, load
from welfare_service import consumers, effects
from welfare_service.cases.tables import cases
from welfare_service.dossiers import jobs as dossier_jobs
from welfare_service.dossiers.tables import dossier_persons, dossiers
from welfare_service.invariants import INVARIANTS
from welfare_service.payouts import jobs as payouts
from welfare_service.payouts.use_cases import SEND
from welfare_service.settings import Settings

SERVICE = "welfare"
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
    worker = ServiceWorker(SERVICE, settings, clock)
    payout_jobs = payouts.PayoutJobs(worker.database, worker.ring, worker.clock, settings.bank_url)
    directory = replica.handler(MOVED_ALONG)
    return worker.setup(
        {
            SEND: payout_jobs.send,
            payouts.ASK: payout_jobs.ask,
            dossier_jobs.RECHECK: dossier_jobs.recheck(worker.clock),
            dossier_jobs.FORGET_USES: dossier_jobs.forget_uses(worker.clock),
            dossier_jobs.REINDEX: dossier_jobs.reindex(worker.ring),
        },
        {
            payouts.ASK: payouts.ASK_EVERY,
            dossier_jobs.RECHECK: dossier_jobs.RECHECK_EVERY,
            dossier_jobs.FORGET_USES: dossier_jobs.FORGET_USES_EVERY,
            dossier_jobs.REINDEX: dossier_jobs.REINDEX_EVERY,
        },
        invariants=INVARIANTS,
        wrapped_keys=WRAPPED_KEYS,
        consumers=(
            worker.consumer(consumers.DIRECTORY, replica.TOPICS_WITH_MEMBERS, directory, "projection"),
            worker.consumer(consumers.EFFECTS, effects.TOPICS, effects.apply, "effects"),
        ),
    )


def main(argv: Sequence[str]) -> None:
    """Run until told to stop."""
    settings = load(Settings, *WORKER_NEEDS)
    serve(build(settings), settings, argv)


if __name__ == "__main__":
    main(sys.argv[1:])
