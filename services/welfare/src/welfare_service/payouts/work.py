"""What waits for a treasurer: batches to send and to close, payments of unknown fate, findings."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from shared.database.session import ReadSession
from shared.security.policy import Action, Caller
from shared.web.work import WorkItem
from welfare_service.payouts import repository
from welfare_service.payouts.domain import Payout, PayoutState

_SEND: Final = "payout.send"
_CLARIFY: Final = "payout.clarify"
_CLOSE: Final = "payout.close"
_RESOLVE: Final = "payout.resolve"


async def waiting(session: ReadSession, caller: Caller, _today: date, limit: int) -> list[WorkItem]:
    """Up to `limit` things of each kind that the caller may do now. Nobody is asked to send what he prepared."""
    items: list[WorkItem] = []
    for root in caller.paths(Action.PAYOUT_CHANGE):
        for payout, has_unknown in await repository.waiting(session, root, limit):
            items.extend(_of(payout, caller, has_unknown=has_unknown))
        for payout, since in await repository.with_findings(session, root, limit):
            items.append(_item(_RESOLVE, payout, flagged=True).model_copy(update={"since": since}))
    return items


def _of(payout: Payout, caller: Caller, *, has_unknown: bool) -> Iterator[WorkItem]:
    match payout.state:
        case PayoutState.DRAFT if not caller.is_same_user(
            payout.prepared_by_issuer, payout.prepared_by_subject
        ):
            yield _item(_SEND, payout)
        case PayoutState.SENT if has_unknown:
            yield _item(_CLARIFY, payout, flagged=True)
        case PayoutState.ANSWERED:
            yield _item(_CLOSE, payout)
        case _:
            pass


def _item(kind: str, payout: Payout, *, flagged: bool = False) -> WorkItem:
    since = payout.answered_at or payout.sent_at or payout.prepared_at
    return WorkItem(
        kind=kind,
        id=payout.id,
        label=payout.number,
        organisation_id=payout.organisation_id,
        since=since,
        due_on=None,
        flagged=flagged,
    )
