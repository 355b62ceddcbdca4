"""Bodies of requests and replies about budgets. Amounts are whole fen; unknown fields are refused."""

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field

from shared.kernel.money import MAX_FEN
from shared.web.body import Body, Reason
from welfare_service.funds.domain import Account, Budget, EntryKind, Figures, Source
from welfare_service.funds.repository import Posted

#: A JSON integer: no text, no fraction, no 1e30.
Amount = Annotated[int, Field(strict=True, gt=0, le=MAX_FEN, description="fen")]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Year = Annotated[int, Field(strict=True, ge=2000, le=2100)]


class CreateBudget(Body):
    """A budget of a unit; `amount_fen` is what came in for it on its first day, if anything."""

    organisation_id: UUID
    year: Year
    source: Source
    name: Name
    amount_fen: Amount | None = None


class ReceiveIncome(Body):
    """Money from outside."""

    amount_fen: Amount
    reason: Reason


class AllocateDown(Body):
    """Money for a lower unit."""

    organisation_id: UUID
    amount_fen: Amount
    reason: Reason | None = None


class ReverseEntry(Body):
    """Why an entry is taken back."""

    reason: Reason


class BudgetView(BaseModel):
    """A budget with its figures. `version` counts its entries."""

    id: UUID
    organisation_id: UUID
    year: int
    source: Source
    name: str
    allocated_fen: int
    reserved_fen: int
    paid_fen: int
    available_fen: int
    version: int

    @classmethod
    def of(cls, budget: Budget) -> Self:
        """As it stands."""
        shown = {name: getattr(budget, name) for name in cls.model_fields if name != "available_fen"}
        return cls(available_fen=budget.figures.available_fen, **shown)


class FiguresView(BaseModel):
    """A budget at a moment."""

    allocated_fen: int
    reserved_fen: int
    paid_fen: int
    available_fen: int

    @classmethod
    def of(cls, figures: Figures) -> Self:
        """Those."""
        return cls.model_validate(figures, from_attributes=True)


class LineView(BaseModel):
    """What came to an account (negative: left it)."""

    account: Account
    amount_fen: int


class EntryView(BaseModel):
    """An entry of the journal as one budget sees it, with the figures after it."""

    version: int
    entry_id: UUID
    kind: EntryKind
    on: date
    at: datetime
    by: str
    case_id: UUID | None
    reason: str | None
    reverses: UUID | None
    lines: list[LineView]
    after: FiguresView

    @classmethod
    def of(cls, posted: Posted) -> Self:
        """As it stands in the journal."""
        return cls(
            version=posted.version,
            entry_id=posted.entry_id,
            kind=posted.kind,
            on=posted.on,
            at=posted.at,
            by=posted.actor_subject,
            case_id=posted.case_id,
            reason=posted.reason,
            reverses=posted.reverses,
            lines=[LineView(account=line.account, amount_fen=line.amount_fen) for line in posted.lines],
            after=FiguresView.of(posted.figures),
        )


class StatementView(BaseModel):
    """A page of a budget's statement: figures before its first entry, the entries, figures after the last."""

    budget: BudgetView
    opening: FiguresView
    entries: list[EntryView]
    closing: FiguresView
    next_cursor: str | None
