"""What the tree does by itself when a day comes."""

from datetime import timedelta
from typing import Final

from membership_service.organisations.use_cases import carry_out_next_plan
from shared.jobs import JobContext, JobHandler
from shared.kernel.clock import Clock
from shared.security.acting import SYSTEM, By

PLANS: Final = "organisations.plans"
#: A plan holds from the first minute of its day.
PLANS_EVERY: Final = timedelta(minutes=1)


def carry_out_plans(clock: Clock) -> JobHandler:
    """The handler that moves and dissolves what was planned for today, each plan in a transaction of its own."""

    async def carry_out(job: JobContext) -> None:
        due = True
        while due:
            async with job.chunk() as session:
                due = await carry_out_next_plan(session, By(SYSTEM, PLANS, clock.now()))

    return carry_out
