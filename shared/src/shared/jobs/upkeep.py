"""Throws away what has had its time: old quarters of the inbox, finished jobs, letters that were redriven or closed."""

import logging
from datetime import timedelta
from typing import Final

from shared.database.session import driver
from shared.jobs.context import JobContext, JobHandler
from shared.kernel.clock import Clock
from shared.messaging import inbox

logger = logging.getLogger(__name__)

UPKEEP_JOB: Final = "messaging.upkeep"
UPKEEP_EVERY: Final = timedelta(hours=1)
#: Finished jobs are looked at for a while; what was redriven stays as long as its mirror on Kafka.
JOBS_KEPT = timedelta(days=30)
LETTERS_KEPT = timedelta(days=90)


def upkeep_handler(clock: Clock) -> JobHandler:
    """The job that every worker with consumers or jobs runs."""

    async def upkeep(job: JobContext) -> None:
        now = clock.now()
        async with job.chunk() as session:
            connection = await driver(session)
            for quarter in await inbox.prune(connection, now):
                logger.info("emptied %s", quarter)
            await connection.execute("DELETE FROM jobs WHERE finished_at < $1", now - JOBS_KEPT)
            await connection.execute(
                "DELETE FROM dead_letters WHERE state IN ('redriven', 'closed') AND redriven_at < $1",
                now - LETTERS_KEPT,
            )

    return upkeep
