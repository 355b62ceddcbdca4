"""Bodies of requests and replies about aid cases. Unknown fields are refused: nobody sets a stage or an approver by body."""

from datetime import date, datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from shared.contracts.membership import Role
from shared.contracts.welfare import CaseStage
from shared.kernel.money import MAX_FEN
from shared.web.body import Body, Reason
from welfare_service.cases.domain import AidCase, FlagReason, Happening, HistoryEntry
from welfare_service.cases.recomputing import Recomputed
from welfare_service.cases.sealing import Opened

#: A whole number of fen above zero: no text, no fraction, nothing beyond any budget.
FenField = Annotated[int, Field(strict=True, gt=0, le=MAX_FEN, description="fen")]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Account = Annotated[str, Field(min_length=8, max_length=40, description="bank account: 8 to 32 digits")]


class ApplicationBody(Body):
    """What is asked for, why, and whom to pay. The amount may be left out where the programme fixes it."""

    programme_id: UUID
    requested_fen: FenField | None = None
    reason: Reason
    payee_name: Name
    account: Account


class DraftBody(ApplicationBody):
    """An application for a member; `member_sequence` is the version that the officer saw."""

    member_id: UUID
    member_sequence: Annotated[int, Field(strict=True, ge=1)] | None = None


class ChangeBody(Body):
    """What to mend; what is left out stays."""

    requested_fen: FenField | None = None
    reason: Reason | None = None
    payee_name: Name | None = None
    account: Account | None = None


class ApprovalBody(Body):
    """What is granted; all that is asked for unless it is less."""

    approved_fen: FenField | None = None


class ReasonBody(Body):
    """A step that needs a reason."""

    reason: Reason


class NoteBody(Body):
    """A step that may have a reason."""

    reason: Reason | None = None


class CaseReply(BaseModel):
    """A case as lists show it; the account masked, nothing private."""

    id: UUID
    case_number: str
    organisation_id: UUID
    programme_id: UUID
    member_id: UUID
    dossier_id: UUID | None
    stage: CaseStage
    stage_since: datetime
    due_on: date | None
    holder_role: Role | None
    levels_up: int
    requested_fen: int
    approved_fen: int | None
    paid_fen: int | None
    account_masked: str | None
    flagged: bool
    flag_reason: FlagReason | None
    drafted_by_subject: str
    submitted_by_subject: str | None
    approved_by_subject: str | None
    version: int

    @classmethod
    def of(cls, case: AidCase) -> Self:
        """As it stands."""
        return cls.model_validate(case, from_attributes=True)


class DetailReply(CaseReply):
    """One case. `reason` and `payee_name` are for those who work on it; null for others, and once the person was erased."""

    reason: str | None = None
    payee_name: str | None = None

    @classmethod
    def detail(cls, case: AidCase, opened: Opened | None) -> Self:
        """With what was opened for this reader."""
        reply = cls.of(case)
        if opened is not None:
            reply.reason, reply.payee_name = opened.reason, opened.payee_name
        return reply


class DecisionReply(BaseModel):
    """The newest judgement on a case and what it rested on. `differs` names what comes out otherwise when it is judged again.

    `refused` is the code of a refusal, should its own grounds not bear it.
    """

    version: int
    happening: Happening
    on: date
    actor_subject: str
    decision: dict[str, Any]
    is_same: bool
    differs: list[str]
    refused: str | None

    @classmethod
    def of(cls, found: Recomputed) -> Self:
        """With what its grounds give today."""
        return cls(
            version=found.entry.version,
            happening=found.entry.happening,
            on=found.entry.on_date,
            actor_subject=found.entry.actor_subject,
            decision=dict(found.kept),
            is_same=not found.differs,
            differs=list(found.differs),
            refused=found.refused,
        )


class HistoryReply(BaseModel):
    """What happened to a case, who did it and why; `decision` is what a judgement rested on."""

    version: int
    happening: Happening
    stage: CaseStage
    happened_at: datetime
    on: date
    organisation_id: UUID
    previous_organisation_id: UUID | None
    actor_issuer: str
    actor_subject: str
    reason: str | None
    code: str | None
    decision: dict[str, Any] | None

    @classmethod
    def of(cls, entry: HistoryEntry, reason: str | None) -> Self:
        """One step."""
        taken = cls.model_fields.keys() - {"on", "reason"}
        return cls(on=entry.on_date, reason=reason, **{name: getattr(entry, name) for name in taken})
