"""Examples of the welfare service's events."""

from datetime import date
from typing import Any, Final
from uuid import UUID

from shared.contracts import welfare as w
from shared.contracts.envelope import EventData, Topic
from shared.contracts.examples.people_and_units import DAY, MEMBER, OTHER_UNIT, TIME, UNIT

_DOSSIER: Final = UUID("01958f00-0000-7000-8000-000000000201")
_PROGRAMME: Final = UUID("01958f00-0000-7000-8000-000000000301")
_CASE: Final = UUID("01958f00-0000-7000-8000-000000000401")
SUBJECTS: Final[dict[Topic, UUID]] = {w.DOSSIERS: _DOSSIER, w.PROGRAMMES: _PROGRAMME, w.CASES: _CASE}

_dossier: Final = w.DossierState(
    dossier_id=_DOSSIER,
    organisation_id=UNIT,
    status=w.DossierStatus.OPEN,
    hardship_class=w.HardshipClass.RELATIVE,
    member_ids=(MEMBER,),
    classified_on=DAY,
)
_draft: Final = _dossier.model_copy(
    update={
        "status": w.DossierStatus.DRAFT,
        "hardship_class": w.HardshipClass.NONE,
        "classified_on": None,
    }
)
_programme: Final = w.ProgrammeState(
    programme_id=_PROGRAMME,
    organisation_id=UNIT,
    name="示例金秋助学",
    kind="schooling",
    budget_fen=20_000_000,
    starts_on=date(2026, 3, 1),
    ends_on=date(2026, 12, 31),
)
_case: Final = w.CaseState(
    case_id=_CASE,
    case_number="SL-0301-007-2026-000001",
    organisation_id=UNIT,
    programme_id=_PROGRAMME,
    member_id=MEMBER,
    dossier_id=_DOSSIER,
    stage=w.CaseStage.DRAFT,
    stage_since=TIME,
    due_on=None,
    requested_fen=300_000,
    approved_fen=None,
    paid_fen=None,
    flagged=False,
)


def _at(stage: w.CaseStage, **changes: Any) -> w.CaseState:
    return _case.model_copy(update={"stage": stage, **changes})


_DECIDED: Final = {"approved_fen": 280_000, "due_on": date(2026, 3, 9)}
_PAID: Final = {"approved_fen": 280_000, "paid_fen": 280_000}

EXAMPLES: Final[tuple[EventData, ...]] = (
    w.DossierDrafted(on=DAY, state=_draft),
    w.DossierChanged(on=DAY, state=_draft),
    w.DossierClassified(on=DAY, state=_dossier, previous_class=w.HardshipClass.NONE),
    w.DossierClosed(on=DAY, state=_dossier.model_copy(update={"status": w.DossierStatus.CLOSED})),
    w.ProgrammeOpened(state=_programme),
    w.ProgrammeChanged(state=_programme.model_copy(update={"budget_fen": 25_000_000})),
    w.CaseDrafted(on=DAY, state=_case),
    w.CaseChanged(on=DAY, state=_case.model_copy(update={"flagged": True})),
    w.CaseSubmitted(on=DAY, state=_at(w.CaseStage.SUBMITTED, due_on=date(2026, 3, 9))),
    w.CaseReturned(on=DAY, state=_at(w.CaseStage.RETURNED)),
    w.CaseApproved(on=DAY, state=_at(w.CaseStage.APPROVED, **_DECIDED)),
    w.CaseDisbursing(on=DAY, state=_at(w.CaseStage.DISBURSING, **_DECIDED)),
    w.CasePaymentFailed(on=DAY, state=_at(w.CaseStage.APPROVED, **_DECIDED)),
    w.CasePaid(on=DAY, state=_at(w.CaseStage.PAID, **_PAID)),
    w.CaseAcknowledged(on=DAY, state=_at(w.CaseStage.ACKNOWLEDGED, **_PAID)),
    w.CaseRejected(on=DAY, state=_at(w.CaseStage.REJECTED)),
    w.CaseWithdrawn(on=DAY, state=_at(w.CaseStage.WITHDRAWN)),
    w.CaseCancelled(on=DAY, state=_at(w.CaseStage.CANCELLED)),
    w.CaseHandedOver(
        on=DAY,
        state=_at(w.CaseStage.SUBMITTED, organisation_id=OTHER_UNIT, due_on=date(2026, 3, 9)),
        previous_organisation_id=UNIT,
    ),
)
