"""An aid case: the steps of one application for help, and who may not take them. Pure: no IO.

Every step raises `version` by one and returns the history entry of that version; one version is one event.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from shared.contracts.membership import Role
from shared.contracts.welfare import CaseStage
from shared.kernel.errors import About, Conflict, Forbidden, Invalid
from shared.kernel.money import Fen, yuan
from shared.security.acting import By

#: A user of the identity provider: issuer and subject.
User = tuple[str, str]

#: Stages in which the applicant's side may still change it.
MENDABLE: Final = frozenset({CaseStage.DRAFT, CaseStage.RETURNED})
#: Stages before the money has gone: what happens to the member matters to whoever holds the case.
RUNNING: Final = MENDABLE | {CaseStage.SUBMITTED, CaseStage.APPROVED, CaseStage.DISBURSING}
#: Stages that wait for somebody; with a dissolved unit the case goes to its successor.
WAITING: Final = RUNNING | {CaseStage.PAID}
#: Stages in which the approved amount counts against the caps and the budget.
COUNTED: Final = frozenset({CaseStage.APPROVED, CaseStage.DISBURSING, CaseStage.PAID, CaseStage.ACKNOWLEDGED})
#: Who has to act, by stage; nobody in the others.
HOLDERS: Final[dict[CaseStage, Role]] = {
    CaseStage.DRAFT: Role.WELFARE_OFFICER,
    CaseStage.RETURNED: Role.WELFARE_OFFICER,
    CaseStage.SUBMITTED: Role.APPROVER,
    CaseStage.APPROVED: Role.TREASURER,
    CaseStage.DISBURSING: Role.TREASURER,
    CaseStage.PAID: Role.WELFARE_OFFICER,
}


class Happening(StrEnum):
    """What a history entry tells."""

    DRAFTED = "drafted"
    CHANGED = "changed"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"
    DISBURSING = "disbursing"
    PAYMENT_FAILED = "payment-failed"
    PAID = "paid"
    ACKNOWLEDGED = "acknowledged"
    FLAGGED = "flagged"
    UNFLAGGED = "unflagged"
    HANDED_OVER = "handed-over"


#: Whoever does one of these has had a hand in the case, and does not decide on it.
HANDS: Final = frozenset({Happening.DRAFTED, Happening.CHANGED, Happening.SUBMITTED})


class FlagReason(StrEnum):
    """What happened to the member that the holder must look at."""

    WITHDRAWN = "member-withdrawn"
    DECEASED = "member-deceased"
    TRANSFERRED = "member-transferred"
    ERASED = "member-erased"


@dataclass(frozen=True, slots=True)
class Act:
    """A step to be done: by whom and when, on which day of China it counts, and until when the next holder has to act."""

    by: By
    on: date
    due_on: date | None = None

    @property
    def user(self) -> User:
        """Who acts."""
        return self.by.issuer, self.by.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Private:
    """What is sealed of a case: why help is needed, and the account that is paid. `sealing` makes it."""

    data_key_wrapped: bytes
    key_version: int
    reason_sealed: bytes
    payee_name_sealed: bytes
    account_sealed: bytes
    account_masked: str


@dataclass(eq=False, kw_only=True)
class HistoryEntry:
    """What made one version of a case. `decision` holds what a judgement rested on: facts, rules, programme version.

    `code` is the machine's reason (a flag, a failed payment); a person's reason is sealed.
    """

    case_id: UUID
    version: int
    happening: Happening
    stage: CaseStage
    happened_at: datetime
    on_date: date
    organisation_id: UUID
    previous_organisation_id: UUID | None = None
    actor_issuer: str
    actor_subject: str
    reason_sealed: bytes | None = None
    code: str | None = None
    decision: dict[str, Any] | None = None


@dataclass(eq=False, kw_only=True)
class AidCase:
    """One application. `levels_up` says how many units above its own must approve the amount.

    `is_own`: the member drafted it.

    `budget_id` is the budget in which the amount is reserved, since the approval; `approved_on` is None again once cancelled.
    """

    id: UUID
    case_number: str
    organisation_id: UUID
    path: str
    programme_id: UUID
    member_id: UUID
    dossier_id: UUID | None
    stage: CaseStage = CaseStage.DRAFT
    stage_since: datetime
    due_on: date | None = None
    levels_up: int = 0
    requested_fen: int
    approved_fen: int | None = None
    paid_fen: int | None = None
    approved_on: date | None = None
    budget_id: UUID | None = None
    data_key_wrapped: bytes | None
    key_version: int
    reason_sealed: bytes | None
    payee_name_sealed: bytes | None
    account_sealed: bytes | None
    account_masked: str | None
    flagged: bool = False
    flag_reason: FlagReason | None = None
    flagged_at: datetime | None = None
    drafted_by_issuer: str
    drafted_by_subject: str
    is_own: bool = False
    submitted_by_issuer: str | None = None
    submitted_by_subject: str | None = None
    approved_by_issuer: str | None = None
    approved_by_subject: str | None = None
    version: int = 0
    created_at: datetime
    updated_at: datetime

    @property
    def holder_role(self) -> Role | None:
        """Whose turn it is."""
        return HOLDERS.get(self.stage)

    @property
    def holder_path(self) -> str:
        """At or above which unit the holder's post must be; the root when fewer units are above than the amount asks for."""
        return upper(self.path, self.levels_up) if self.stage is CaseStage.SUBMITTED else self.path

    @property
    def _about(self) -> About:
        return About("case", self.id, self.path)

    def draft(self, act: Act) -> HistoryEntry:
        """A fresh application; version 1."""
        return self._step(Happening.DRAFTED, act)

    def change(
        self, requested: Fen, dossier_id: UUID | None, private: Private | None, act: Act
    ) -> HistoryEntry:
        """Mend what is not yet, or no longer, submitted. An approved case is not changed: it is cancelled and asked for anew."""
        if self.stage not in MENDABLE:
            raise Conflict("case-not-changeable", about=self._about)
        self.requested_fen, self.dossier_id = requested, dossier_id
        if private is not None:
            self.take(private)
        return self._step(Happening.CHANGED, act)

    def take(self, private: Private) -> None:
        """Replace what is sealed."""
        for name in Private.__dataclass_fields__:
            setattr(self, name, getattr(private, name))

    def submit(self, amount: Fen, levels_up: int, act: Act, decision: dict[str, Any]) -> HistoryEntry:
        """Ask for the decision."""
        self._must(MENDABLE, "case-not-changeable")
        self._must_not_be_flagged()
        self.requested_fen, self.levels_up = amount, levels_up
        self.submitted_by_issuer, self.submitted_by_subject = act.user
        self._enter(CaseStage.SUBMITTED, act)
        return self._step(Happening.SUBMITTED, act, decision=decision)

    def must_be_decided_by_another(
        self, user: User, touched_by: Collection[User], *, is_beneficiary: bool
    ) -> None:
        """Four eyes are two persons: who drafted, changed or submitted it does not decide, nor does whom it helps."""
        submitter = (self.submitted_by_issuer, self.submitted_by_subject)
        drafter = (self.drafted_by_issuer, self.drafted_by_subject)
        if is_beneficiary or user in {submitter, drafter} or user in touched_by:
            raise Forbidden("four-eyes", about=self._about)

    def approve(
        self, amount: Fen, budget_id: UUID, levels_up: int, act: Act, decision: dict[str, Any]
    ) -> HistoryEntry:
        """Grant `amount`, at most what is asked for. The caller has checked the four eyes and the level."""
        self._must(frozenset({CaseStage.SUBMITTED}), "case-not-submitted")
        self._must_not_be_flagged()
        if amount > self.requested_fen:
            raise Invalid(
                "amount-over-request", field="approved_fen", requested=yuan(Fen(self.requested_fen))
            )
        self.approved_fen, self.budget_id, self.approved_on = amount, budget_id, act.on
        self.levels_up = levels_up
        self.approved_by_issuer, self.approved_by_subject = act.user
        self._enter(CaseStage.APPROVED, act)
        return self._step(Happening.APPROVED, act, decision=decision)

    def send_back(self, act: Act) -> HistoryEntry:
        """Return it to be mended; the reason is written into the entry by the caller."""
        self._must(frozenset({CaseStage.SUBMITTED}), "case-not-submitted")
        self._enter(CaseStage.RETURNED, act)
        return self._step(Happening.RETURNED, act)

    def reject(self, act: Act) -> HistoryEntry:
        """Refuse it for good."""
        self._must(frozenset({CaseStage.SUBMITTED}), "case-not-submitted")
        self._end(CaseStage.REJECTED, act)
        return self._step(Happening.REJECTED, act)

    def withdraw(self, act: Act) -> HistoryEntry:
        """The applicant's side takes it back before it is decided."""
        self._must(MENDABLE | {CaseStage.SUBMITTED}, "case-decided")
        self._end(CaseStage.WITHDRAWN, act)
        return self._step(Happening.WITHDRAWN, act)

    def cancel(self, act: Act) -> HistoryEntry:
        """Stop it after approval, before the payment is under way; what is reserved must be released."""
        self._must(frozenset({CaseStage.APPROVED}), "case-not-approved")
        self._end(CaseStage.CANCELLED, act)
        self.approved_on = None
        return self._step(Happening.CANCELLED, act)

    def disburse(self, act: Act) -> HistoryEntry:
        """Its payment enters a batch for the bank."""
        self._must(frozenset({CaseStage.APPROVED}), "case-not-approved")
        self._must_not_be_flagged()
        self._enter(CaseStage.DISBURSING, act)
        return self._step(Happening.DISBURSING, act)

    def payment_failed(self, code: str, act: Act) -> HistoryEntry:
        """The bank refused: approved again, the money still reserved."""
        self._must(frozenset({CaseStage.DISBURSING}), "case-not-disbursing")
        self._enter(CaseStage.APPROVED, act)
        return self._step(Happening.PAYMENT_FAILED, act, code=code)

    def pay(self, paid: Fen, act: Act) -> HistoryEntry:
        """The bank confirmed the payment."""
        self._must(frozenset({CaseStage.DISBURSING}), "case-not-disbursing")
        if paid > (self.approved_fen or 0):
            raise Conflict("paid-more-than-approved")
        self.paid_fen = paid
        self._enter(CaseStage.PAID, act)
        return self._step(Happening.PAID, act)

    def acknowledge(self, act: Act) -> HistoryEntry:
        """The member has received the money."""
        self._must(frozenset({CaseStage.PAID}), "case-not-paid")
        self._end(CaseStage.ACKNOWLEDGED, act)
        return self._step(Happening.ACKNOWLEDGED, act)

    def flag(self, reason: FlagReason, act: Act) -> HistoryEntry | None:
        """Something happened to the member; None when the case is over, or says so already."""
        if self.stage not in RUNNING or self.flag_reason is reason:
            return None
        self.flagged, self.flag_reason, self.flagged_at = True, reason, act.by.at
        return self._step(Happening.FLAGGED, act, code=reason)

    def unflag(self, act: Act) -> HistoryEntry:
        """The holder has looked at it, and it may go on; for an erased person it may only end."""
        if not self.flagged:
            raise Conflict("case-not-flagged")
        if self.flag_reason is FlagReason.ERASED:
            raise Conflict("case-member-erased")
        self.flagged, self.flag_reason, self.flagged_at = False, None, None
        return self._step(Happening.UNFLAGGED, act)

    def hand_over(self, organisation_id: UUID, path: str, act: Act) -> HistoryEntry | None:
        """Its unit was dissolved; None for a case that is over, which stays where it was."""
        if self.stage not in WAITING or organisation_id == self.organisation_id:
            return None
        previous, self.organisation_id, self.path = self.organisation_id, organisation_id, path
        entry = self._step(Happening.HANDED_OVER, act)
        entry.previous_organisation_id = previous
        return entry

    def forget_private(self) -> None:
        """Make the sealed parts unreadable for good: the person was erased."""
        self.data_key_wrapped = self.reason_sealed = self.payee_name_sealed = self.account_sealed = None
        self.account_masked = None

    def _enter(self, stage: CaseStage, act: Act) -> None:
        self.stage, self.stage_since, self.due_on = stage, act.by.at, act.due_on

    def _end(self, stage: CaseStage, act: Act) -> None:
        self.stage, self.stage_since, self.due_on = stage, act.by.at, None
        if self.flag_reason is FlagReason.ERASED:
            self.forget_private()
        self.flagged, self.flag_reason, self.flagged_at = False, None, None

    def _must(self, stages: frozenset[CaseStage], code: str) -> None:
        if self.stage not in stages:
            raise Conflict(code)

    def _must_not_be_flagged(self) -> None:
        if self.flagged:
            raise Conflict("case-flagged")

    def _step(
        self,
        happening: Happening,
        act: Act,
        *,
        code: str | None = None,
        decision: dict[str, Any] | None = None,
    ) -> HistoryEntry:
        self.version += 1
        self.updated_at = act.by.at
        return HistoryEntry(
            case_id=self.id,
            version=self.version,
            happening=happening,
            stage=self.stage,
            happened_at=act.by.at,
            on_date=act.on,
            organisation_id=self.organisation_id,
            actor_issuer=act.by.issuer,
            actor_subject=act.by.subject,
            code=code,
            decision=decision,
        )


def upper(path: str, levels: int) -> str:
    """The path `levels` units above `path`; the root's when there are fewer."""
    labels = path.split("/")[:-1]
    return "/".join(labels[: max(1, len(labels) - levels)]) + "/"
