"""Budgets and what is entered for them. Pure: no IO.

Every entry of the journal moves money between the accounts of budgets and sums to zero. A budget belongs to one unit, one year
and one source of money; sources are never mixed. Amounts are fen.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, Self
from uuid import UUID

from shared.kernel.errors import Conflict, Invalid
from shared.kernel.money import Fen
from shared.security.acting import By


class Source(StrEnum):
    """Where the money of a budget comes from."""

    OWN = "own"
    ALLOCATED = "allocated"
    GOVERNMENT = "government"
    DONATION = "donation"


class Account(StrEnum):
    """The accounts of a budget. OUTSIDE is whoever gave the money; what stands there is what came in, negative."""

    OUTSIDE = "outside"
    AVAILABLE = "available"
    RESERVED = "reserved"
    PAID = "paid"


class EntryKind(StrEnum):
    """What an entry is about."""

    INCOME = "income"
    ALLOCATION = "allocation"
    RESERVATION = "reservation"
    RELEASE = "release"
    PAYMENT = "payment"
    REFUND = "refund"
    REVERSAL = "reversal"


#: These belong to a day of the budget's own year. What was reserved then may be paid, released or corrected later.
OF_ITS_YEAR: Final = frozenset({EntryKind.INCOME, EntryKind.ALLOCATION, EntryKind.RESERVATION})


class Line(NamedTuple):
    """One line of an entry: what comes to an account (negative: what leaves it)."""

    budget_id: UUID
    account: Account
    amount_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What an entry does to one budget: by how much its figures change, and what came from outside."""

    budget_id: UUID
    allocated_fen: int = 0
    reserved_fen: int = 0
    paid_fen: int = 0
    income_fen: int = 0

    def lines(self) -> list[Line]:
        """The same, account by account."""
        amounts = {
            Account.OUTSIDE: -self.income_fen,
            Account.AVAILABLE: self.allocated_fen - self.reserved_fen - self.paid_fen,
            Account.RESERVED: self.reserved_fen,
            Account.PAID: self.paid_fen,
        }
        return [Line(self.budget_id, account, amount) for account, amount in amounts.items() if amount != 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as it is to be written. Raises ValueError if it does not balance."""

    id: UUID
    kind: EntryKind
    moves: tuple[Move, ...]
    by: By
    case_id: UUID | None = None
    reason: str | None = None
    reverses: UUID | None = None

    def __post_init__(self) -> None:
        if not self.lines() or sum(line.amount_fen for line in self.lines()) != 0:
            raise ValueError("an entry has lines and sums to zero")

    def lines(self) -> list[Line]:
        """All lines."""
        return [line for move in self.moves for line in move.lines()]

    @property
    def year(self) -> int | None:
        """The year (in China) that the budgets must be of; None for entries that may come later."""
        return self.by.today.year if self.kind in OF_ITS_YEAR else None


@dataclass(frozen=True, slots=True)
class Figures:
    """A budget at a moment. `available` is what may still be reserved or handed down."""

    allocated_fen: int = 0
    reserved_fen: int = 0
    paid_fen: int = 0

    @property
    def available_fen(self) -> int:
        """What is allocated, less what is reserved and paid."""
        return self.allocated_fen - self.reserved_fen - self.paid_fen

    def after(self, move: Move) -> Self:
        """The figures with a move. Raises Conflict("budget-exhausted") if any of them would fall below zero."""
        moved = replace(
            self,
            allocated_fen=self.allocated_fen + move.allocated_fen,
            reserved_fen=self.reserved_fen + move.reserved_fen,
            paid_fen=self.paid_fen + move.paid_fen,
        )
        if min(moved.available_fen, moved.reserved_fen, moved.paid_fen) < 0:
            raise Conflict("budget-exhausted")
        return moved


@dataclass(eq=False, kw_only=True)
class Budget:
    """Money of one unit, year and source. Its figures are changed by the journal's statement alone."""

    id: UUID
    organisation_id: UUID
    path: str
    year: int
    source: Source
    name: str
    created_at: datetime
    allocated_fen: int = 0
    reserved_fen: int = 0
    paid_fen: int = 0
    #: Entries so far: each gets the next position.
    version: int = 0

    @property
    def figures(self) -> Figures:
        """As it stands."""
        return Figures(self.allocated_fen, self.reserved_fen, self.paid_fen)

    def take(self, entry: Entry) -> list[Figures]:
        """The figures after each of the entry's moves on this budget. Raises Conflict where the entry may not be made."""
        if entry.year is not None and entry.year != self.year:
            raise Conflict("budget-of-another-year", year=self.year)
        return [self.figures.after(move) for move in entry.moves if move.budget_id == self.id]


def income(entry_id: UUID, budget_id: UUID, amount: Fen, by: By, reason: str | None = None) -> Entry:
    """Money from outside."""
    move = Move(budget_id=budget_id, allocated_fen=amount, income_fen=amount)
    return Entry(id=entry_id, kind=EntryKind.INCOME, moves=(move,), by=by, reason=reason)


def allocation(entry_id: UUID, giver: UUID, taker: UUID, amount: Fen, by: By, reason: str | None) -> Entry:
    """Money handed down to the budget of a lower unit."""
    moves = (
        Move(budget_id=giver, allocated_fen=-amount),
        Move(budget_id=taker, allocated_fen=amount),
    )
    return Entry(id=entry_id, kind=EntryKind.ALLOCATION, moves=moves, by=by, reason=reason)


def reservation(entry_id: UUID, budget_id: UUID, case_id: UUID, amount: Fen, by: By) -> Entry:
    """Money kept for an approved case."""
    move = Move(budget_id=budget_id, reserved_fen=amount)
    return Entry(id=entry_id, kind=EntryKind.RESERVATION, moves=(move,), by=by, case_id=case_id)


def release(entry_id: UUID, budget_id: UUID, case_id: UUID, reserved: int, by: By) -> Entry:
    """What was reserved for a case is free again."""
    move = Move(budget_id=budget_id, reserved_fen=-reserved)
    return Entry(id=entry_id, kind=EntryKind.RELEASE, moves=(move,), by=by, case_id=case_id)


def payment(entry_id: UUID, budget_id: UUID, case_id: UUID, reserved: int, paid: Fen, by: By) -> Entry:
    """A case was paid; what was reserved beyond that is free again. Raises Conflict for more than was reserved."""
    if paid > reserved:
        raise Conflict("payment-above-reservation")
    move = Move(budget_id=budget_id, reserved_fen=-reserved, paid_fen=paid)
    return Entry(id=entry_id, kind=EntryKind.PAYMENT, moves=(move,), by=by, case_id=case_id)


def reversal(entry_id: UUID, wrong: Entry, by: By, reason: str) -> Entry:
    """The entry that takes `wrong` back. Of a payment only the money comes back, as a refund: nothing is reserved again.

    Raises Conflict("entry-not-reversible") for a reservation or release, which end with their case, and for corrections.
    """
    match wrong.kind:
        case EntryKind.INCOME | EntryKind.ALLOCATION:
            kind = EntryKind.REVERSAL
            moves = tuple(
                Move(
                    budget_id=move.budget_id,
                    allocated_fen=-move.allocated_fen,
                    income_fen=-move.income_fen,
                )
                for move in wrong.moves
            )
        case EntryKind.PAYMENT:
            kind = EntryKind.REFUND
            moves = tuple(Move(budget_id=move.budget_id, paid_fen=-move.paid_fen) for move in wrong.moves)
        case _:
            raise Conflict("entry-not-reversible")
    return Entry(
        id=entry_id,
        kind=kind,
        moves=moves,
        by=by,
        case_id=wrong.case_id,
        reason=reason,
        reverses=wrong.id,
    )


def source_below(source: Source) -> Source:
    """The source of a budget that is fed from one of `source`: own money becomes allocated, given money keeps its giver."""
    return Source.ALLOCATED if source is Source.OWN else source


def must_take_income(source: Source) -> None:
    """Raises Invalid for the source whose money only ever comes from above."""
    if source is Source.ALLOCATED:
        raise Invalid("budget-source-allocated", field="source")
