"""Events of the welfare service. Ids, classes, stages, dates and amounts of aid: no name, no income, no illness, no account.

As with every owner, `state` is the aggregate's whole public state after the change.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.contracts.envelope import EventData, Topic, registry
from shared.contracts.membership import State

SOURCE = "/unionhall/welfare"
DOSSIERS = Topic("unionhall.welfare.dossiers.v1")
PROGRAMMES = Topic("unionhall.welfare.programmes.v1")
CASES = Topic("unionhall.welfare.cases.v1")

Amount = Annotated[int, Field(ge=0, description="fen")]


class HardshipClass(StrEnum):
    """What the rules make of a household: the current scheme, then the older one of places that still use it."""

    NONE = "none"
    DEEP = "deep"
    RELATIVE = "relative"
    ACCIDENTAL = "accidental"
    DIBAO = "dibao"
    DIBAO_MARGIN = "dibao_margin"


class DossierStatus(StrEnum):
    """Where a household's file stands: being gathered, decided on (建档), or ended."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"


class DossierState(State):
    """A household's hardship file. `member_ids` are the members among its persons; the others are in no event."""

    dossier_id: UUID
    organisation_id: UUID
    status: DossierStatus
    hardship_class: HardshipClass
    member_ids: tuple[UUID, ...]
    classified_on: date | None


class DossierEvent(EventData):
    """A dossier after a change; `on` is the day from which the change counts."""

    on: date
    state: DossierState


@registry.event("unionhall.welfare.dossier.drafted.v1", DOSSIERS)
class DossierDrafted(DossierEvent):
    """A file was begun for a household."""


@registry.event("unionhall.welfare.dossier.changed.v1", DOSSIERS)
class DossierChanged(DossierEvent):
    """Details changed; perhaps only private ones, then the state is as before."""


@registry.event("unionhall.welfare.dossier.classified.v1", DOSSIERS)
class DossierClassified(DossierEvent):
    """The class was decided, for the first time or anew."""

    previous_class: HardshipClass


@registry.event("unionhall.welfare.dossier.closed.v1", DOSSIERS)
class DossierClosed(DossierEvent):
    """The file ended: out of hardship, moved away, opened in error."""


class ProgrammeState(State):
    """A programme of help with its budget (`budget_fen` is what it may spend) and the days on which it takes cases."""

    programme_id: UUID
    organisation_id: UUID
    name: str
    kind: str
    budget_fen: Amount
    starts_on: date
    ends_on: date


class ProgrammeEvent(EventData):
    """A programme after a change."""

    state: ProgrammeState


@registry.event("unionhall.welfare.programme.opened.v1", PROGRAMMES)
class ProgrammeOpened(ProgrammeEvent):
    """A programme was set up."""


@registry.event("unionhall.welfare.programme.changed.v1", PROGRAMMES)
class ProgrammeChanged(ProgrammeEvent):
    """Its name, days, rules or budget changed."""


class CaseStage(StrEnum):
    """Where an aid case stands: draft → submitted → approved → disbursing → paid → acknowledged, or one of the ways out.

    A returned case can be mended and submitted again; rejected, withdrawn and cancelled are ends.
    """

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    APPROVED = "approved"
    DISBURSING = "disbursing"
    PAID = "paid"
    ACKNOWLEDGED = "acknowledged"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"


class CaseState(State):
    """An aid case. `due_on` is the last working day for whoever holds it; None where nobody has to act.

    `flagged` is set when something about the member changed that the holder must look at.
    """

    case_id: UUID
    case_number: str
    organisation_id: UUID
    programme_id: UUID
    member_id: UUID
    dossier_id: UUID | None
    stage: CaseStage
    stage_since: datetime
    due_on: date | None
    requested_fen: Amount
    approved_fen: Amount | None
    paid_fen: Amount | None
    flagged: bool


class CaseEvent(EventData):
    """An aid case after a change; `on` is the day (in China) from which the change counts."""

    on: date
    state: CaseState


@registry.event("unionhall.welfare.case.drafted.v1", CASES)
class CaseDrafted(CaseEvent):
    """Somebody began an application."""


@registry.event("unionhall.welfare.case.changed.v1", CASES)
class CaseChanged(CaseEvent):
    """Details changed, or a flag was set or taken off; the stage is as before."""


@registry.event("unionhall.welfare.case.submitted.v1", CASES)
class CaseSubmitted(CaseEvent):
    """The application waits for a decision."""


@registry.event("unionhall.welfare.case.returned.v1", CASES)
class CaseReturned(CaseEvent):
    """It went back with a reason (kept by the owner)."""


@registry.event("unionhall.welfare.case.approved.v1", CASES)
class CaseApproved(CaseEvent):
    """`state.approved_fen` is reserved in the programme's budget."""


@registry.event("unionhall.welfare.case.disbursing.v1", CASES)
class CaseDisbursing(CaseEvent):
    """Its payment stands in a batch for the bank."""


@registry.event("unionhall.welfare.case.payment-failed.v1", CASES)
class CasePaymentFailed(CaseEvent):
    """The bank refused the payment: the case is approved again, the money still reserved."""


@registry.event("unionhall.welfare.case.paid.v1", CASES)
class CasePaid(CaseEvent):
    """The bank confirmed the payment of `state.paid_fen`."""


@registry.event("unionhall.welfare.case.acknowledged.v1", CASES)
class CaseAcknowledged(CaseEvent):
    """The member confirmed having received the money."""


@registry.event("unionhall.welfare.case.rejected.v1", CASES)
class CaseRejected(CaseEvent):
    """It was refused with a reason (kept by the owner)."""


@registry.event("unionhall.welfare.case.withdrawn.v1", CASES)
class CaseWithdrawn(CaseEvent):
    """The applicant took it back."""


@registry.event("unionhall.welfare.case.cancelled.v1", CASES)
class CaseCancelled(CaseEvent):
    """It was stopped after approval; what was reserved is free again."""


@registry.event("unionhall.welfare.case.handed-over.v1", CASES)
class CaseHandedOver(CaseEvent):
    """Its unit was dissolved: `state.organisation_id` takes it on."""

    previous_organisation_id: UUID
