"""What of dossiers waits for somebody: review tasks of who gathers, decisions of who approves."""

from datetime import date

from shared.database.session import ReadSession
from shared.kernel.calendar import seeded_calendar
from shared.kernel.clock import china_date
from shared.security.policy import Action, Caller
from shared.web.work import WorkItem
from welfare_service.dossiers import repository
from welfare_service.dossiers.domain import Dossier
from welfare_service.dossiers.reviews import repository as reviews
from welfare_service.rules.use_cases import rule_set

#: The stage of a decision in the rule of due working days.
STAGE = "dossier_decision"


async def waiting(session: ReadSession, caller: Caller, today: date, limit: int) -> list[WorkItem]:
    """Up to `limit` items of each kind that the caller can do now; `kind` is "dossier.review" or "dossier.decide"."""
    items = await _reviews(session, caller, limit)
    roots = caller.paths(Action.DOSSIER_DECIDE)
    limits: dict[str, int | None] = {}
    for dossier in await repository.awaiting(session, roots, limit):
        if dossier.path not in limits:
            limits[dossier.path] = (await rule_set(session, dossier.path, today)).due_days(STAGE)
        items.append(_decision(dossier, limits[dossier.path]))
    return items


async def _reviews(session: ReadSession, caller: Caller, limit: int) -> list[WorkItem]:
    found = await reviews.open_within(session, caller.paths(Action.DOSSIER_CHANGE), limit)
    numbers = await repository.numbers(session, {review.dossier_id for review in found})
    return [
        WorkItem(
            kind="dossier.review",
            id=review.dossier_id,
            label=numbers[review.dossier_id],
            organisation_id=review.organisation_id,
            since=review.since,
            due_on=review.due_on,
            flagged=review.member_id is not None,
        )
        for review in found
    ]


def _decision(dossier: Dossier, days: int | None) -> WorkItem:
    if dossier.awaiting_since is None:
        raise ValueError("only what waits has a limit")
    since = dossier.awaiting_since
    return WorkItem(
        kind="dossier.decide",
        id=dossier.id,
        label=dossier.number,
        organisation_id=dossier.organisation_id,
        since=since,
        due_on=None if days is None else seeded_calendar().add_workdays(china_date(since), days),
    )
