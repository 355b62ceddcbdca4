"""A step of a case as the event that other services read."""

from typing import Final

from shared.contracts import welfare as contract
from shared.contracts.envelope import Event
from shared.contracts.welfare import CaseEvent, CaseState
from shared.messaging.publication import publication
from welfare_service.cases.domain import AidCase, Happening, HistoryEntry

_TYPES: Final[dict[Happening, type[CaseEvent]]] = {
    Happening.DRAFTED: contract.CaseDrafted,
    Happening.CHANGED: contract.CaseChanged,
    Happening.FLAGGED: contract.CaseChanged,
    Happening.UNFLAGGED: contract.CaseChanged,
    Happening.SUBMITTED: contract.CaseSubmitted,
    Happening.RETURNED: contract.CaseReturned,
    Happening.APPROVED: contract.CaseApproved,
    Happening.REJECTED: contract.CaseRejected,
    Happening.WITHDRAWN: contract.CaseWithdrawn,
    Happening.CANCELLED: contract.CaseCancelled,
    Happening.DISBURSING: contract.CaseDisbursing,
    Happening.PAYMENT_FAILED: contract.CasePaymentFailed,
    Happening.PAID: contract.CasePaid,
    Happening.ACKNOWLEDGED: contract.CaseAcknowledged,
    Happening.HANDED_OVER: contract.CaseHandedOver,
}


def state_of(case: AidCase) -> CaseState:
    """The public state: ids, stage, days and amounts."""
    return CaseState(
        case_id=case.id,
        case_number=case.case_number,
        organisation_id=case.organisation_id,
        programme_id=case.programme_id,
        member_id=case.member_id,
        dossier_id=case.dossier_id,
        stage=case.stage,
        stage_since=case.stage_since,
        due_on=case.due_on,
        requested_fen=case.requested_fen,
        approved_fen=case.approved_fen,
        paid_fen=case.paid_fen,
        flagged=case.flagged,
    )


def event_of(case: AidCase, entry: HistoryEntry) -> Event:
    """The one event of the version that `entry` made."""
    previous = (
        {"previous_organisation_id": entry.previous_organisation_id}
        if entry.happening is Happening.HANDED_OVER
        else {}
    )
    data = _TYPES[entry.happening].model_validate({"on": entry.on_date, "state": state_of(case), **previous})
    return publication(data, case.id, entry.version, entry.happened_at)
