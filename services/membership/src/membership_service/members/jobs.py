"""What waits too long for an answer is marked, so that the upper units see it; old counts are thrown away."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from membership_service.members import repository
from membership_service.members.domain import APPLICATION_WORKING_DAYS
from membership_service.members.transfers import repository as transfers
from shared.jobs import JobContext, JobHandler
from shared.kernel.calendar import WorkingCalendar, seeded_calendar
from shared.kernel.clock import CHINA_OFFSET, Clock, china_date

ESCALATE: Final = "members.escalate"
ESCALATE_EVERY: Final = timedelta(minutes=10)
FORGET_USES: Final = "members.forget-uses"
FORGET_USES_EVERY: Final = timedelta(hours=6)
#: Counts of earlier days limit nothing; who unmasked whom stands in the audit.
USES_KEPT: Final = timedelta(days=31)
_CHUNK: Final = 1000


def escalate_unanswered(clock: Clock) -> JobHandler:
    """The handler that marks applications after three working days and transfers after their term."""

    async def escalate(job: JobContext) -> None:
        now = clock.now()
        before = answered_until(china_date(now), seeded_calendar())
        for mark, limit in ((repository.escalate, before), (transfers.escalate, now)):
            marked = _CHUNK
            while marked == _CHUNK:
                async with job.chunk() as session:
                    marked = await mark(session, limit, now, _CHUNK)

    return escalate


def forget_uses(clock: Clock) -> JobHandler:
    """The handler that deletes old counts of what is capped by day."""

    async def forget(job: JobContext) -> None:
        async with job.chunk() as session:
            await repository.forget_uses(session, china_date(clock.now()) - USES_KEPT)

    return forget


def answered_until(today: date, calendar: WorkingCalendar) -> datetime:
    """The moment (UTC) before which every application should have been answered by the beginning of `today` in China."""
    day = today
    while calendar.add_workdays(day, APPLICATION_WORKING_DAYS) >= today:
        day -= timedelta(days=1)
    return datetime.combine(day + timedelta(days=1), time(), UTC) - CHINA_OFFSET
