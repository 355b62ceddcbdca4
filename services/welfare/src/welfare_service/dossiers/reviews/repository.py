"""Every query of review tasks."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from shared.database.paths import in_subtree
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound
from welfare_service.dossiers.records import Review
from welfare_service.dossiers.repository import Standing
from welfare_service.dossiers.tables import dossier_reviews, dossiers

_COLUMNS = (
    "id",
    "dossier_id",
    "organisation_id",
    "path",
    "kind",
    "reason",
    "member_id",
    "since",
    "due_on",
)


async def add(session: WriteSession, review: Review) -> None:
    """Write a task; nothing happens beside an open one of the same dossier, kind, reason and member."""
    row = {name: getattr(review, name) for name in _COLUMNS}
    await session.execute(insert(dossier_reviews).values(row).on_conflict_do_nothing())


async def get_for_change(session: WriteSession, dossier_id: UUID, review_id: UUID) -> Review:
    """One task of a dossier, locked. Raises NotFound."""
    found = await session.get(Review, review_id, with_for_update=True)
    if found is None or found.dossier_id != dossier_id:
        raise NotFound("not-found")
    return found


async def of_dossier(session: ReadSession, dossier_id: UUID, limit: int) -> Sequence[Review]:
    """The newest tasks of a dossier."""
    found = select(Review).where(dossier_reviews.c.dossier_id == dossier_id)
    return (await session.scalars(found.order_by(dossier_reviews.c.id.desc()).limit(limit))).all()


async def open_of_dossier(session: WriteSession, dossier_id: UUID) -> Sequence[Review]:
    """The tasks of a dossier that wait, locked."""
    found = select(Review).where(
        dossier_reviews.c.dossier_id == dossier_id, dossier_reviews.c.done_at.is_(None)
    )
    return (await session.scalars(found.order_by(dossier_reviews.c.id).with_for_update())).all()


async def open_within(session: ReadSession, roots: Sequence[str], limit: int) -> Sequence[Review]:
    """Up to `limit` tasks of each subtree that wait, those due first in front."""
    found: list[Review] = []
    for root in roots:
        waiting = (
            select(Review)
            .where(in_subtree(dossier_reviews.c.path, root), dossier_reviews.c.done_at.is_(None))
            .order_by(dossier_reviews.c.due_on.nulls_last(), dossier_reviews.c.id)
        )
        found.extend(await session.scalars(waiting.limit(limit)))
    return found


async def due_for_recheck(session: WriteSession, today: date, limit: int) -> Sequence[Standing]:
    """Up to `limit` dossiers whose re-check is due; none of them is given again, so each gets one task."""
    columns = dossiers.c
    due = (
        select(columns.id)
        .where(columns.recheck_on <= today)
        .order_by(columns.recheck_on, columns.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    # Not a step of the dossier: nothing of what it says is different, so its version stays.
    taken = (
        update(dossiers)
        .where(columns.id.in_(due))
        .values(recheck_on=None)
        .returning(columns.id, columns.path, columns.organisation_id, columns.status, columns.hardship_class)
    )
    rows = await session.execute(taken, execution_options={"synchronize_session": False})
    return [Standing(*row) for row in rows]


async def hand_over(session: WriteSession, dossier_id: UUID, organisation_id: UUID, path: str) -> None:
    """The tasks of a dossier go where it goes."""
    await session.execute(
        update(dossier_reviews)
        .where(dossier_reviews.c.dossier_id == dossier_id)
        .values(organisation_id=organisation_id, path=path),
        execution_options={"synchronize_session": False},
    )
