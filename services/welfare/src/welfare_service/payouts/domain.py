"""A payout: a batch of payments, prepared by one person and sent by another, and what the bank says of each. Pure: no IO.

What the bank says may come twice, late, in any order, or not at all. A line is settled once; whatever contradicts that becomes
a finding for the treasurer and changes nothing. A line whose fate is unknown is asked about, never sent again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.kernel.errors import About, Conflict, Forbidden

#: Payments of one batch: its result is booked in one transaction.
MAX_LINES: Final = 500


class PayoutState(StrEnum):
    """Where a batch stands. ANSWERED: every line is paid or failed. CANCELLED: taken back before it was sent."""

    DRAFT = "draft"
    SENT = "sent"
    ANSWERED = "answered"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Channel(StrEnum):
    """How a batch reaches the bank: over its interface, or as a file that somebody hands over."""

    BANK = "bank"
    FILE = "file"


class LineState(StrEnum):
    """What is known of a payment. PENDING: surely not handed over yet."""

    PENDING = "pending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    PAID = "paid"
    FAILED = "failed"


class Said(StrEnum):
    """What a bank says of an instruction."""

    ACCEPTED = "accepted"
    PAID = "paid"
    FAILED = "failed"


class FindingKind(StrEnum):
    """What does not fit and is a treasurer's to clear up."""

    FOREIGN = "result-line-foreign"
    DOUBLE = "result-line-double"
    MALFORMED = "result-line-malformed"
    NOT_SENT = "result-line-not-sent"
    AMOUNT = "result-amount-differs"
    CONTRADICTS = "result-contradicts"
    NOT_KNOWN = "instruction-not-known"


class Effect(StrEnum):
    """What an answer of the bank does to the case."""

    NOTHING = "nothing"
    PAID = "paid"
    FAILED = "failed"


#: States in which the bank still owes an answer.
AWAITED: Final = frozenset({LineState.UNKNOWN, LineState.ACCEPTED})
FINAL: Final = frozenset({LineState.PAID, LineState.FAILED})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bank says of one instruction: in a reply, asked, or in a file."""

    said: Said
    amount_fen: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of an answer: an effect to book, or a finding, or neither (said before)."""

    effect: Effect = Effect.NOTHING
    finding: FindingKind | None = None


@dataclass(eq=False, kw_only=True)
class PayoutLine:
    """One payment. Its id is the instruction's at the bank: a case tried again after a failure gets another line."""

    id: UUID
    payout_id: UUID
    case_id: UUID
    attempt: int
    budget_id: UUID
    member_id: UUID
    case_number: str
    amount_fen: int
    account_masked: str
    state: LineState = LineState.PENDING
    reason: str | None = None
    handed_at: datetime | None = None
    asked_at: datetime | None = None
    answered_at: datetime | None = None

    def hand_over(self, at: datetime) -> None:
        """From here on it may have reached the bank, whatever comes back."""
        self._must_be(LineState.PENDING)
        self.state, self.handed_at = LineState.UNKNOWN, at

    def take_back(self) -> None:
        """It surely did not reach the bank: nobody listened."""
        self._must_be(LineState.UNKNOWN)
        self.state, self.handed_at = LineState.PENDING, None

    def withdraw(self, reason: str, at: datetime) -> None:
        """It is not to be sent: the batch was taken back, or there is no account any more."""
        self._must_be(LineState.PENDING)
        self.state, self.reason, self.answered_at = LineState.FAILED, reason, at

    def hear(self, answer: Answer, at: datetime) -> Heard:
        """Take in what the bank says."""
        if self.state is LineState.PENDING or self.handed_at is None:
            return Heard(finding=FindingKind.NOT_SENT)
        if answer.amount_fen is not None and answer.amount_fen != self.amount_fen:
            return Heard(finding=FindingKind.AMOUNT)
        if answer.said is Said.ACCEPTED:
            # Old news of what is settled changes nothing.
            if self.state is LineState.UNKNOWN:
                self.state = LineState.ACCEPTED
            return Heard()
        final = LineState.PAID if answer.said is Said.PAID else LineState.FAILED
        if self.state in FINAL:
            return Heard() if self.state is final else Heard(finding=FindingKind.CONTRADICTS)
        self.state, self.answered_at = final, at
        self.reason = (answer.reason or "bank-refused") if final is LineState.FAILED else None
        return Heard(Effect.PAID if final is LineState.PAID else Effect.FAILED)

    def _must_be(self, state: LineState) -> None:
        if self.state is not state:
            raise Conflict("payout-line-under-way")


@dataclass(eq=False, kw_only=True)
class Payout:
    """One batch."""

    id: UUID
    number: str
    organisation_id: UUID
    path: str
    channel: Channel = Channel.BANK
    state: PayoutState = PayoutState.DRAFT
    line_count: int
    total_fen: int
    prepared_by_issuer: str
    prepared_by_subject: str
    prepared_at: datetime
    sent_by_issuer: str | None = None
    sent_by_subject: str | None = None
    sent_at: datetime | None = None
    answered_at: datetime | None = None
    closed_by_issuer: str | None = None
    closed_by_subject: str | None = None
    closed_at: datetime | None = None
    version: int = 1

    def send(self, issuer: str, subject: str, channel: Channel, at: datetime) -> None:
        """Let it go to the bank. Four eyes are two persons: whoever prepared it does not send it."""
        self._must(PayoutState.DRAFT)
        if (issuer, subject) == (self.prepared_by_issuer, self.prepared_by_subject):
            raise Forbidden("four-eyes", about=About("payout", self.id, self.path))
        self.state, self.channel, self.sent_at = PayoutState.SENT, channel, at
        self.sent_by_issuer, self.sent_by_subject = issuer, subject
        self.version += 1

    def divert(self, issuer: str, subject: str) -> None:
        """What could not be sent over the bank's interface is handed over as a file."""
        if self.state is not PayoutState.SENT or self.channel is Channel.FILE:
            raise Conflict("payout-not-in-state")
        if (issuer, subject) == (self.prepared_by_issuer, self.prepared_by_subject):
            raise Forbidden("four-eyes", about=About("payout", self.id, self.path))
        self.channel = Channel.FILE
        self.version += 1

    def cancel(self, issuer: str, subject: str, at: datetime) -> None:
        """Take it back before it is sent."""
        self._must(PayoutState.DRAFT)
        self._end(PayoutState.CANCELLED, issuer, subject, at)

    def look(self, states: Collection[LineState], at: datetime) -> None:
        """Note that the bank has answered for all lines, once it has."""
        if self.state is PayoutState.SENT and FINAL.issuperset(states):
            self.state, self.answered_at = PayoutState.ANSWERED, at
            self.version += 1

    def close(self, issuer: str, subject: str, at: datetime, *, open_findings: bool) -> None:
        """Nothing is left to do."""
        self._must(PayoutState.ANSWERED)
        if open_findings:
            raise Conflict("payout-has-findings")
        self._end(PayoutState.CLOSED, issuer, subject, at)

    def _end(self, state: PayoutState, issuer: str, subject: str, at: datetime) -> None:
        self.state, self.closed_at = state, at
        self.closed_by_issuer, self.closed_by_subject = issuer, subject
        self.version += 1

    def _must(self, state: PayoutState) -> None:
        if self.state is not state:
            raise Conflict("payout-not-in-state")


@dataclass(eq=False, kw_only=True)
class Finding:
    """Something the bank said that was not booked, kept as it was said. `reference` is the instruction it names."""

    id: UUID
    payout_id: UUID
    organisation_id: UUID
    path: str
    line_id: UUID | None
    kind: FindingKind
    row_number: int | None
    reference: str | None
    said: str | None
    amount_fen: int | None
    found_at: datetime
    resolved_at: datetime | None = None
    resolved_by_issuer: str | None = None
    resolved_by_subject: str | None = None
    resolution: str | None = None

    def resolve(self, issuer: str, subject: str, at: datetime, resolution: str) -> None:
        """A treasurer cleared it up. Once."""
        if self.resolved_at is not None:
            raise Conflict("finding-resolved")
        self.resolved_at, self.resolution = at, resolution
        self.resolved_by_issuer, self.resolved_by_subject = issuer, subject


def missing(lines: Sequence[PayoutLine], named: Collection[UUID]) -> list[PayoutLine]:
    """The lines that a result file does not mention though the bank still owes an answer."""
    return [line for line in lines if line.state in AWAITED and line.id not in named]
