"""What is done with lotteries in the background."""

from uuid import UUID

from events_service.lottery.use_cases import settle
from shared.jobs import JobContext, JobHandler
from shared.kernel.clock import Clock
from shared.security.acting import SYSTEM, By


def settle_lots(clock: Clock) -> JobHandler:
    """The handler that lets the entries of a large lottery have what they drew, block by block in the order of the draw.

    The draw itself is done and public by then; the first block was settled with it.
    """

    async def handle(job: JobContext) -> None:
        activity_id = UUID(job.payload["activity_id"])
        goes_on = True
        while goes_on:
            async with job.chunk() as session:
                number = job.progress.get("block", 1)
                goes_on = await settle(session, activity_id, number, By(SYSTEM, job.kind, clock.now()))
                job.progress["block"] = number + 1

    return handle
