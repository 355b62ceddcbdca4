"""Budgets as a machine: whatever is entered in whatever order, nothing is overdrawn and all accounts sum to zero."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from shared.kernel.errors import Conflict, Invalid
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from shared.security.acting import By
from welfare_service.funds import domain
from welfare_service.funds.domain import Account, Budget, Entry, EntryKind, Move, Source

BY = By("iss", "treasurer", datetime(2026, 6, 1, tzinfo=UTC))
AMOUNTS = st.integers(1, 1_000).map(Fen)


def budget(year: int = 2026) -> Budget:
    return Budget(
        id=new_id(),
        organisation_id=new_id(),
        path="1/",
        year=year,
        source=Source.OWN,
        name="x",
        created_at=BY.at,
    )


class Journal:
    """The journal's statement in memory: all budgets of an entry take it, or none."""

    def __init__(self) -> None:
        self.budgets: dict[UUID, Budget] = {}
        self.entries: list[Entry] = []

    def post(self, entry: Entry) -> None:
        once = {EntryKind.PAYMENT, EntryKind.RELEASE}
        for known in self.entries:
            if entry.reverses is not None and known.reverses == entry.reverses:
                raise Conflict("entry-already-reversed")
            if entry.kind in once and known.kind in once and known.case_id == entry.case_id:
                raise Conflict("case-money-settled")
        after = {move.budget_id: self.budgets[move.budget_id].take(entry)[-1] for move in entry.moves}
        for budget_id, figures in after.items():
            changed = self.budgets[budget_id]
            changed.allocated_fen, changed.reserved_fen, changed.paid_fen = (
                figures.allocated_fen,
                figures.reserved_fen,
                figures.paid_fen,
            )
        self.entries.append(entry)


class Budgets(RuleBasedStateMachine):
    """Income, allocation, reservation, payment, release, reversal, in any order; refusals change nothing."""

    cases = Bundle("cases")

    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal()

    @initialize(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        for _ in range(count):
            made = budget()
            self.journal.budgets[made.id] = made

    def try_post(self, make: Any) -> bool:
        before = {id_: replace(one.figures) for id_, one in self.journal.budgets.items()}
        try:
            self.journal.post(make())
        except Conflict:
            assert before == {id_: one.figures for id_, one in self.journal.budgets.items()}
            return False
        return True

    def any_budget(self, data: st.DataObject) -> Budget:
        return data.draw(st.sampled_from(list(self.journal.budgets.values())))

    @rule(data=st.data(), amount=AMOUNTS)
    def receive(self, data: st.DataObject, amount: Fen) -> None:
        one = self.any_budget(data)
        assert self.try_post(lambda: domain.income(new_id(), one.id, amount, BY))

    @rule(data=st.data(), amount=AMOUNTS)
    def allocate(self, data: st.DataObject, amount: Fen) -> None:
        giver, taker = self.any_budget(data), self.any_budget(data)
        if giver is not taker:
            free = giver.figures.available_fen
            done = self.try_post(lambda: domain.allocation(new_id(), giver.id, taker.id, amount, BY, None))
            assert done == (free >= amount)

    @rule(target=cases, data=st.data(), amount=AMOUNTS)
    def reserve(self, data: st.DataObject, amount: Fen) -> tuple[UUID, UUID, Fen] | None:
        one, case = self.any_budget(data), new_id()
        free = one.figures.available_fen
        done = self.try_post(lambda: domain.reservation(new_id(), one.id, case, amount, BY))
        assert done == (free >= amount)
        return (one.id, case, amount) if done else None

    @rule(case=cases, part=st.integers(1, 100))
    def settle(self, case: tuple[UUID, UUID, Fen] | None, part: int) -> None:
        if case is not None:
            budget_id, case_id, reserved = case
            paid = Fen(max(1, reserved * part // 100))
            self.try_post(lambda: domain.payment(new_id(), budget_id, case_id, reserved, paid, BY))

    @rule(case=cases)
    def release(self, case: tuple[UUID, UUID, Fen] | None) -> None:
        if case is not None:
            budget_id, case_id, reserved = case
            self.try_post(lambda: domain.release(new_id(), budget_id, case_id, reserved, BY))

    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        if self.journal.entries:
            wrong = data.draw(st.sampled_from(self.journal.entries))
            self.try_post(lambda: domain.reversal(new_id(), wrong, BY, "error"))

    @invariant()
    def accounts_sum_to_zero_and_agree_with_the_budgets(self) -> None:
        balances: Counter[tuple[UUID, Account]] = Counter()
        for entry in self.journal.entries:
            assert sum(line.amount_fen for line in entry.lines()) == 0
            for line in entry.lines():
                balances[line.budget_id, line.account] += line.amount_fen
        assert sum(balances.values()) == 0
        for id_, one in self.journal.budgets.items():
            assert balances[id_, Account.AVAILABLE] == one.figures.available_fen >= 0
            assert balances[id_, Account.RESERVED] == one.reserved_fen >= 0
            assert balances[id_, Account.PAID] == one.paid_fen >= 0
            assert one.reserved_fen + one.paid_fen <= one.allocated_fen

    @invariant()
    def a_case_ends_once(self) -> None:
        ends = Counter(
            entry.case_id
            for entry in self.journal.entries
            if entry.kind in {EntryKind.PAYMENT, EntryKind.RELEASE}
        )
        assert set(ends.values()) <= {1}


Budgets.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBudgets = Budgets.TestCase


def test_an_entry_that_does_not_balance_cannot_be_made() -> None:
    for moves in (
        (Move(budget_id=new_id(), allocated_fen=5),),
        (Move(budget_id=new_id()),),
        (),
    ):
        with pytest.raises(ValueError, match="zero"):
            Entry(id=new_id(), kind=EntryKind.INCOME, moves=moves, by=BY)


@pytest.mark.parametrize(
    ("moment", "year"),
    [
        (datetime(2026, 12, 31, 15, 59, tzinfo=UTC), 2026),
        (datetime(2026, 12, 31, 16, 0, tzinfo=UTC), 2027),
        (datetime(2028, 2, 28, 16, 0, tzinfo=UTC), 2028),
    ],
)
def test_the_year_is_that_of_the_day_in_china(moment: datetime, year: int) -> None:
    by = By("iss", "treasurer", moment)
    entry = domain.income(new_id(), (own := budget(year)).id, Fen(1), by)
    assert own.take(entry)[0].allocated_fen == 1
    other = budget(year + 1)
    with pytest.raises(Conflict, match="budget-of-another-year"):
        other.take(domain.income(new_id(), other.id, Fen(1), by))
    other.reserved_fen = other.allocated_fen = 1
    assert other.take(domain.release(new_id(), other.id, new_id(), 1, by))[0].reserved_fen == 0


def test_what_cannot_be_reversed() -> None:
    own, case = budget(), new_id()
    for entry in (
        domain.reservation(new_id(), own.id, case, Fen(1), BY),
        domain.release(new_id(), own.id, case, 1, BY),
        domain.reversal(new_id(), domain.income(new_id(), own.id, Fen(1), BY), BY, "x"),
    ):
        with pytest.raises(Conflict, match="entry-not-reversible"):
            domain.reversal(new_id(), entry, BY, "x")


def test_a_refund_brings_back_the_money_and_reserves_nothing() -> None:
    paid = domain.payment(new_id(), (own := budget()).id, case := new_id(), 10, Fen(8), BY)
    refund = domain.reversal(new_id(), paid, BY, "returned")
    assert refund.moves == (Move(budget_id=own.id, paid_fen=-8),)
    assert (refund.kind, refund.case_id, refund.reverses) == (EntryKind.REFUND, case, paid.id)


def test_allocated_money_never_comes_from_outside() -> None:
    with pytest.raises(Invalid, match="budget-source-allocated"):
        domain.must_take_income(Source.ALLOCATED)
    assert domain.source_below(Source.OWN) is domain.source_below(Source.ALLOCATED) is Source.ALLOCATED
    assert domain.source_below(Source.DONATION) is Source.DONATION
