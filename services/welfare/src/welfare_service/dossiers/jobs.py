"""What a year without a decision brings, and old counts that limit nothing any more."""

from datetime import timedelta
from typing import Final

from shared.jobs import JobContext, JobHandler
from shared.kernel.clock import Clock, china_date
from welfare_service.dossiers import repository
from welfare_service.dossiers.reviews import use_cases as reviews

RECHECK: Final = "dossiers.recheck"
RECHECK_EVERY: Final = timedelta(hours=1)
FORGET_USES: Final = "dossiers.forget-uses"
FORGET_USES_EVERY: Final = timedelta(hours=6)
#: Counts of earlier days limit nothing; who unmasked what stands in the audit.
USES_KEPT: Final = timedelta(days=31)
_CHUNK: Final = 200


def recheck(clock: Clock) -> JobHandler:
    """The handler that asks for the yearly re-check of dossiers."""

    async def ask(job: JobContext) -> None:
        made = _CHUNK
        while made == _CHUNK:
            async with job.chunk() as session:
                made = await reviews.add_yearly(session, clock.now(), _CHUNK)

    return ask


def forget_uses(clock: Clock) -> JobHandler:
    """The handler that deletes old counts of what is capped by day."""

    async def forget(job: JobContext) -> None:
        async with job.chunk() as session:
            await repository.forget_uses(session, china_date(clock.now()) - USES_KEPT)

    return forget
