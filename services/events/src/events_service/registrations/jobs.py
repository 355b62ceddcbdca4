"""What is done with registrations in the background."""

from uuid import UUID

from events_service.registrations.domain import ACTIVITY_CANCELLED
from events_service.registrations.use_cases import cancel_some
from shared.jobs import JobContext, JobHandler
from shared.kernel.clock import Clock
from shared.security.acting import SYSTEM, By

_CHUNK = 1000


def cancel_registrations(clock: Clock) -> JobHandler:
    """The handler that takes back all places of an activity that was called off, in chunks."""

    async def cancel(job: JobContext) -> None:
        activity_id = UUID(job.payload["activity_id"])
        ended = _CHUNK
        while ended:
            async with job.chunk() as session:
                by = By(SYSTEM, job.kind, clock.now())
                ended = await cancel_some(session, activity_id, ACTIVITY_CANCELLED, by, _CHUNK)

    return cancel
