"""Whatever is asked of a case, in whatever order: it is where the model says, and its versions have no hole."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shared.contracts.welfare import CaseStage
from shared.kernel.errors import Conflict, Forbidden, Invalid
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from shared.security.acting import By
from welfare_service.cases.domain import (
    COUNTED,
    RUNNING,
    WAITING,
    Act,
    AidCase,
    FlagReason,
    HistoryEntry,
    User,
)

NOW = datetime(2026, 3, 16, 1, 30, tzinfo=UTC)
PEOPLE = ("officer", "colleague", "approver", "member")
person = st.sampled_from(PEOPLE)
amount = st.integers(1, 1000).map(Fen)

#: Step -> the stages from which it is taken, and the stage after it.
STEPS: dict[str, tuple[set[str], str]] = {
    "submit": ({"draft", "returned"}, "submitted"),
    "approve": ({"submitted"}, "approved"),
    "send_back": ({"submitted"}, "returned"),
    "reject": ({"submitted"}, "rejected"),
    "withdraw": ({"draft", "returned", "submitted"}, "withdrawn"),
    "cancel": ({"approved"}, "cancelled"),
    "disburse": ({"approved"}, "disbursing"),
    "payment_failed": ({"disbursing"}, "approved"),
    "pay": ({"disbursing"}, "paid"),
    "acknowledge": ({"paid"}, "acknowledged"),
}
#: Not while something about the member is to be looked at.
CLEAR_ONLY = {"submit", "approve", "disburse"}


class CaseMachine(RuleBasedStateMachine):
    """A case beside the plainest model of it."""

    def __init__(self) -> None:
        super().__init__()
        self.at = NOW
        self.case = AidCase(
            id=new_id(),
            case_number="2026-00000001",
            organisation_id=new_id(),
            path="1/2/3/",
            programme_id=new_id(),
            member_id=new_id(),
            dossier_id=None,
            stage_since=NOW,
            requested_fen=1000,
            data_key_wrapped=b"k",
            key_version=1,
            reason_sealed=b"r",
            payee_name_sealed=b"n",
            account_sealed=b"a",
            account_masked="622***",
            drafted_by_issuer="i",
            drafted_by_subject="officer",
            created_at=NOW,
            updated_at=NOW,
        )
        self.entries: list[HistoryEntry] = [self.case.draft(self.act("officer"))]
        self.stage = "draft"
        self.touched: set[User] = {("i", "officer")}
        self.flag: FlagReason | None = None

    def act(self, who: str) -> Act:
        self.at += timedelta(minutes=1)
        return Act(By("i", who, self.at), date(2026, 3, 16), date(2026, 3, 23))

    def attempt(self, name: str, *arguments: Any, may: bool = True) -> bool:
        """Take a step; whether it was taken must be what the model says."""
        allowed, after = STEPS[name]
        is_right = self.stage in allowed and may and not (name in CLEAR_ONLY and self.flag)
        version = self.case.version
        try:
            entry = getattr(self.case, name)(*arguments)
        except (Conflict, Invalid):
            assert not is_right, name
            assert self.case.version == version
            return False
        assert is_right, name
        self.entries.append(entry)
        self.stage = after
        if after not in WAITING:
            self.flag = None
        return True

    @rule(who=person, asked=amount)
    def submit(self, who: str, asked: Fen) -> None:
        if self.attempt("submit", asked, 1, self.act(who), {"x": 1}):
            self.touched.add(("i", who))

    @rule(who=person, asked=amount)
    def change(self, who: str, asked: Fen) -> None:
        is_right = self.stage in {"draft", "returned"}
        try:
            self.entries.append(self.case.change(asked, None, None, self.act(who)))
        except Conflict:
            assert not is_right
        else:
            assert is_right
            self.touched.add(("i", who))

    @rule(who=person, granted=amount)
    def approve(self, who: str, granted: Fen) -> None:
        if self.stage != "submitted":
            self.attempt("approve", granted, new_id(), 1, self.act(who), {})
            return
        is_member = who == "member"
        try:
            self.case.must_be_decided_by_another(("i", who), self.touched, is_beneficiary=is_member)
        except Forbidden:
            assert is_member or ("i", who) in self.touched
            return
        assert not is_member
        assert ("i", who) not in self.touched
        enough = granted <= self.case.requested_fen
        self.attempt("approve", granted, new_id(), 1, self.act(who), {}, may=enough)

    @rule(
        who=person,
        step=st.sampled_from(["send_back", "reject", "withdraw", "cancel", "disburse", "acknowledge"]),
    )
    def plain_step(self, who: str, step: str) -> None:
        self.attempt(step, self.act(who))

    @rule(paid=amount)
    def pay(self, paid: Fen) -> None:
        self.attempt("pay", paid, self.act("bank"), may=paid <= (self.case.approved_fen or 0))

    @rule()
    def fail(self) -> None:
        self.attempt("payment_failed", "account-closed", self.act("bank"))

    @rule(reason=st.sampled_from(FlagReason))
    def flag_it(self, reason: FlagReason) -> None:
        entry = self.case.flag(reason, self.act("system"))
        is_news = CaseStage(self.stage) in RUNNING and self.flag is not reason
        assert (entry is not None) == is_news
        if entry is not None:
            self.entries.append(entry)
            self.flag = reason

    @rule()
    def unflag_it(self) -> None:
        may = self.flag is not None and self.flag is not FlagReason.ERASED
        try:
            entry = self.case.unflag(self.act("approver"))
        except Conflict:
            assert not may
        else:
            assert may
            self.entries.append(entry)
            self.flag = None

    @rule()
    def hand_over(self) -> None:
        before, successor = self.case.organisation_id, new_id()
        entry = self.case.hand_over(successor, "1/9/", self.act("system"))
        assert (entry is not None) == (CaseStage(self.stage) in WAITING)
        if entry is not None:
            assert entry.previous_organisation_id == before
            self.entries.append(entry)

    @invariant()
    def is_where_the_model_says(self) -> None:
        assert self.case.stage == self.stage
        assert (self.case.flagged, self.case.flag_reason) == (self.flag is not None, self.flag)

    @invariant()
    def has_one_entry_for_each_version(self) -> None:
        assert [entry.version for entry in self.entries] == list(range(1, self.case.version + 1))

    @invariant()
    def counts_what_is_granted_and_nothing_else(self) -> None:
        case = self.case
        assert (case.approved_on is not None) == (case.stage in COUNTED)
        if case.stage in COUNTED:
            assert 0 < (case.approved_fen or 0) <= case.requested_fen
        assert (case.paid_fen is not None) == (case.stage in {CaseStage.PAID, CaseStage.ACKNOWLEDGED})
        assert (case.paid_fen or 0) <= (case.approved_fen or 0)

    @invariant()
    def is_due_only_while_somebody_has_to_act(self) -> None:
        if self.case.stage not in WAITING:
            assert self.case.due_on is None
            assert self.case.holder_role is None


CaseMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestCaseMachine = CaseMachine.TestCase
