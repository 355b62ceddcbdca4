"""Tasks to look at a dossier again: because of a member, or because a year is over."""

from datetime import datetime
from typing import Final
from uuid import UUID

from shared.database.session import WriteSession
from shared.kernel.calendar import seeded_calendar
from shared.kernel.clock import china_date
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.policy import Action, Caller
from welfare_service.dossiers.records import Outcome, Review, ReviewKind
from welfare_service.dossiers.repository import Standing
from welfare_service.dossiers.reviews import repository
from welfare_service.rules.use_cases import rule_set

#: The stage of a review in the rule of due working days.
STAGE: Final = "dossier_review"
YEARLY_REASON: Final = "year-over"


async def add(
    session: WriteSession,
    standing: Standing,
    kind: ReviewKind,
    reason: str,
    at: datetime,
    member_id: UUID | None = None,
) -> None:
    """A task, due by the rules of its day; none beside an open one for the same reason."""
    today = china_date(at)
    days = (await rule_set(session, standing.path, today)).due_days(STAGE)
    review = Review(
        id=new_id(),
        dossier_id=standing.id,
        organisation_id=standing.organisation_id,
        path=standing.path,
        kind=kind,
        reason=reason,
        member_id=member_id,
        since=at,
        due_on=None if days is None else seeded_calendar().add_workdays(today, days),
    )
    await repository.add(session, review)


async def complete(
    session: WriteSession, caller: Caller, by: By, dossier_id: UUID, review_id: UUID, outcome: Outcome
) -> Review:
    """Say what a review came to."""
    review = await repository.get_for_change(session, dossier_id, review_id)
    caller.require(Action.DOSSIER_CHANGE, review.path)
    review.complete(outcome, by)
    session.audit("dossier.reviewed", "dossier", dossier_id, {"outcome": outcome.value}, path=review.path)
    return review


async def complete_all(
    session: WriteSession, dossier_id: UUID, by: By, kind: ReviewKind | None = None
) -> None:
    """End the open tasks of a dossier, of one kind or all: it was closed, or decided anew."""
    outcome = Outcome.CLOSED if kind is None else Outcome.CHANGED
    for review in await repository.open_of_dossier(session, dossier_id):
        if kind is None or review.kind is kind:
            review.complete(outcome, by)


async def add_yearly(session: WriteSession, at: datetime, limit: int) -> int:
    """A task for each of up to `limit` dossiers whose yearly re-check is due; says how many."""
    due = await repository.due_for_recheck(session, china_date(at), limit)
    for standing in due:
        await add(session, standing, ReviewKind.YEARLY, YEARLY_REASON, at)
    return len(due)
