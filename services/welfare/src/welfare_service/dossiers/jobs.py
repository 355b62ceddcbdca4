"""What a year without a decision brings, and old counts that limit nothing any more."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from shared.jobs import JobContext, JobHandler
from shared.kernel.clock import Clock, china_date
from shared.security.keys import KeyRing
from welfare_service.dossiers import repository, sealing
from welfare_service.dossiers.reviews import use_cases as reviews

RECHECK: Final = "dossiers.recheck"
RECHECK_EVERY: Final = timedelta(hours=1)
REINDEX: Final = "dossiers.reindex"
REINDEX_EVERY: Final = timedelta(hours=1)
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


def reindex(ring: KeyRing) -> JobHandler:
    """The handler that puts all blind indexes under the current key, as long as the ring has older ones; it may die anywhere."""

    async def rewrite(job: JobContext) -> None:
        if not sealing.is_index_rotated(ring):
            return
        after, is_more = UUID(int=0), True
        while is_more:
            async with job.chunk() as session:
                persons = await repository.persons_after(session, after, _CHUNK)
                for person in persons:
                    sealing.reindex(ring, person)
            is_more = len(persons) == _CHUNK
            after = persons[-1].id if persons else after

    return rewrite


def forget_uses(clock: Clock) -> JobHandler:
    """The handler that deletes old counts of what is capped by day."""

    async def forget(job: JobContext) -> None:
        async with job.chunk() as session:
            await repository.forget_uses(session, china_date(clock.now()) - USES_KEPT)

    return forget
