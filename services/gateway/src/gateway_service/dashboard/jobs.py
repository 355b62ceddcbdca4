"""The rebuild of the dashboard as a job: resumable, and it never stops the live view."""

from typing import Final

from gateway_service.dashboard import use_cases
from shared.jobs import JobContext

REBUILD: Final = "dashboard.rebuild"


async def rebuild(job: JobContext) -> None:
    """Grow the idle slot from the facts, chunk by chunk, then make it live. Goes on after a crash where it was."""
    if not job.progress.get("started"):
        async with job.chunk() as session:
            job.progress["started"] = True
            await use_cases.start_rebuild(session)
    done = False
    while not done and not job.cancelled:
        async with job.chunk() as session:
            done = await use_cases.build_next(session)
