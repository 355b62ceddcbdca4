"""What activities do by themselves when their time comes: open, close, be held."""

from datetime import timedelta
from typing import Final

from events_service.activities.use_cases import move_on_due
from shared.jobs import JobContext, JobHandler
from shared.kernel.clock import Clock
from shared.security.acting import SYSTEM, By

MOVE_ON: Final = "activities.move-on"
#: The statement of a registration looks at the time itself; this only moves the stage that people see.
MOVE_ON_EVERY: Final = timedelta(seconds=5)
_CHUNK: Final = 50


def move_on(clock: Clock) -> JobHandler:
    """The handler that moves activities on whose time has come, in chunks."""

    async def move(job: JobContext) -> None:
        moved = _CHUNK
        while moved:
            async with job.chunk() as session:
                moved = await move_on_due(session, By(SYSTEM, MOVE_ON, clock.now()), _CHUNK)

    return move
