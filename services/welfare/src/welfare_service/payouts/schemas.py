"""Bodies of requests and replies about payouts. Accounts are masked everywhere but in the file for the bank."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field

from shared.kernel.texts import Language, has_text, text
from shared.web.body import Body, Reason
from welfare_service.payouts.domain import (
    MAX_LINES,
    Channel,
    Finding,
    FindingKind,
    LineState,
    Payout,
    PayoutLine,
    PayoutState,
)
from welfare_service.payouts.use_cases import Result


class PreparePayout(Body):
    """A batch of approved cases of a unit and those below it."""

    organisation_id: UUID
    case_ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_LINES)]


class SendPayout(Body):
    """How it goes: over the bank's interface, or as a file that is handed over."""

    channel: Channel = Channel.BANK


class ResolveFinding(Body):
    """How a finding was cleared up."""

    resolution: Reason


class PayoutView(BaseModel):
    """A batch."""

    id: UUID
    number: str
    organisation_id: UUID
    channel: Channel
    state: PayoutState
    line_count: int
    total_fen: int
    prepared_by_subject: str
    prepared_at: datetime
    sent_by_subject: str | None
    sent_at: datetime | None
    answered_at: datetime | None
    closed_at: datetime | None
    version: int

    @classmethod
    def of(cls, payout: Payout) -> Self:
        """As it stands."""
        return cls.model_validate(payout, from_attributes=True)


class LineView(BaseModel):
    """A payment. `id` is the instruction's at the bank; `reason` is a code, `reason_text` its words."""

    id: UUID
    case_id: UUID
    case_number: str
    attempt: int
    amount_fen: int
    account_masked: str
    state: LineState
    reason: str | None
    reason_text: str | None
    handed_at: datetime | None
    asked_at: datetime | None
    answered_at: datetime | None

    @classmethod
    def of(cls, line: PayoutLine, language: Language) -> Self:
        """As it stands."""
        shown = {name: getattr(line, name) for name in cls.model_fields if name != "reason_text"}
        return cls(reason_text=_words(line.reason, language), **shown)


class FindingView(BaseModel):
    """Something that the bank said and that was not booked."""

    id: UUID
    kind: FindingKind
    detail: str
    line_id: UUID | None
    row_number: int | None
    reference: str | None
    said: str | None
    amount_fen: int | None
    found_at: datetime
    resolved_at: datetime | None
    resolution: str | None

    @classmethod
    def of(cls, finding: Finding, language: Language) -> Self:
        """As it stands."""
        shown = {name: getattr(finding, name) for name in cls.model_fields if name != "detail"}
        return cls(detail=text(finding.kind.value, language), **shown)


class ResultView(BaseModel):
    """What came of a result file: rows read, payments that ended, what was known before, what does not fit, what it left out."""

    payout: PayoutView
    rows: int
    paid: int
    failed: int
    unchanged: int
    findings: list[FindingView]
    missing: list[UUID] = Field(
        description="instructions that the file does not mention and the bank still owes"
    )

    @classmethod
    def of(cls, result: Result, language: Language) -> Self:
        """Those."""
        booked = result.booked
        return cls(
            payout=PayoutView.of(result.payout),
            rows=result.rows,
            paid=booked.paid,
            failed=booked.failed,
            unchanged=booked.unchanged,
            findings=[FindingView.of(finding, language) for finding in booked.findings],
            missing=[line.id for line in result.missing],
        )


def _words(reason: str | None, language: Language) -> str | None:
    """The words for a reason; a bank's own code that we have none for stands as it is."""
    if reason is None:
        return None
    code = f"payment-{reason}"
    return text(code, language) if has_text(code) else reason
