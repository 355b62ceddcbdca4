"""Every query of feedback."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from events_service.feedback.domain import SMALLEST_GROUP, Feedback, Summary, summary
from events_service.feedback.tables import feedback
from shared.database.session import ReadSession, WriteSession

_SCORES: Final = text("""
    SELECT satisfaction, count(*) AS given FROM registrations WHERE activity_id = :activity AND attended GROUP BY satisfaction
""")
#: Waits for a twin that says something of the same registration at the same moment.
_LOCK: Final = text("SELECT FROM registrations WHERE id = :id FOR NO KEY UPDATE")
#: The score stays in the figures; the comment goes, and the key that it was sealed under.
_FORGET: Final = text("""
    UPDATE feedback f SET comment_sealed = NULL, data_key_wrapped = NULL, key_version = NULL
    FROM registrations r WHERE r.id = f.registration_id AND r.member_id = ANY (:members) AND f.comment_sealed IS NOT NULL
""")


async def get_for_change(session: WriteSession, registration_id: UUID) -> Feedback | None:
    """What was said before; the registration is locked."""
    await session.execute(_LOCK, {"id": registration_id})
    found = select(Feedback).where(feedback.c.registration_id == registration_id)
    return await session.scalar(found.execution_options(populate_existing=True))


def add(session: WriteSession, given: Feedback) -> None:
    """Write what is said for the first time."""
    session.add(given)


async def summary_of(session: ReadSession, activity_id: UUID) -> Summary:
    """The figures of an activity."""
    rows = (await session.execute(_SCORES, {"activity": activity_id})).all()
    scores = {row.satisfaction: row.given for row in rows if row.satisfaction is not None}
    return summary(sum(row.given for row in rows), scores)


async def comments(
    session: ReadSession, activity_id: UUID, after: UUID | None, limit: int
) -> Sequence[Feedback]:
    """Up to `limit` comments in no telling order; none while there are fewer than five."""
    columns = feedback.c
    mine = (columns.activity_id == activity_id, columns.comment_sealed.is_not(None))
    few = await session.scalars(select(columns.id).where(*mine).limit(SMALLEST_GROUP))
    if len(few.all()) < SMALLEST_GROUP:
        return []
    found = select(Feedback).where(*mine)
    if after:
        found = found.where(columns.id > after)
    return (await session.scalars(found.order_by(columns.id).limit(limit))).all()


async def forget(session: WriteSession, member_ids: Sequence[UUID]) -> None:
    """Take away what erased members wrote."""
    await session.execute(_FORGET, {"members": list(member_ids)})
