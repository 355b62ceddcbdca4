"""Routes of budgets. Thin: parse, call one use case or query, show.

A budget's version moves with every approval, so commands are guarded by their key, not by If-Match.
"""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response, status
from fastapi.responses import StreamingResponse

from shared.database.scope import Scope
from shared.directory.organisations import subtrees
from shared.kernel.money import fen
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Once
from shared.web.conditional import set_etag
from shared.web.paging import Page, PageQuery, page_of, seal_cursor
from shared.web.routing import api_router
from shared.web.session import Keys, Read, database_of
from welfare_service.funds import repository, use_cases
from welfare_service.funds.schemas import (
    AllocateDown,
    BudgetView,
    CreateBudget,
    EntryView,
    FiguresView,
    ReceiveIncome,
    ReverseEntry,
    StatementView,
)
from welfare_service.funds.statement import statement_csv

router = api_router("/api/v1/budgets", "budgets")

_CSV = {"content": {"text/csv": {}}, "description": "the whole statement"}


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_budget(body: CreateBudget, call: Once) -> BudgetView:
    """Set up a budget of a unit, with the money that came in for it."""
    budget = await use_cases.create(
        call.session,
        call.caller,
        call.by,
        organisation_id=body.organisation_id,
        year=body.year,
        source=body.source,
        name=body.name,
        amount=None if body.amount_fen is None else fen(body.amount_fen),
    )
    call.leaves(budget.version)
    return BudgetView.of(budget)


@router.get("")
async def list_budgets(
    year: Annotated[int, Query(ge=2000, le=2100)],
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    organisation: Annotated[UUID | None, Query(description="of this unit and those below it")] = None,
) -> Page[BudgetView]:
    """Budgets of a year in a subtree, from the top down."""
    roots = await subtrees(session, caller, Action.BUDGET_READ, organisation)
    purpose = f"budgets:{roots}:{year}"
    values = page.after(ring, purpose)
    after = (values[0], UUID(values[1])) if values else None
    found = await repository.page(session, roots, year, after, page.limit + 1)
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda row: [row.path, str(row.id)])
    return Page(items=[BudgetView.of(row) for row in rows], next_cursor=cursor)


@router.get("/{budget_id}")
async def get_budget(budget_id: UUID, session: Read, caller: CurrentCaller, response: Response) -> BudgetView:
    """A budget and how much of it is reserved, paid and available."""
    budget = await use_cases.read(session, caller, budget_id)
    set_etag(response, budget.version)
    return BudgetView.of(budget)


@router.post("/{budget_id}/income", status_code=status.HTTP_201_CREATED)
async def receive_income(budget_id: UUID, body: ReceiveIncome, call: Once) -> BudgetView:
    """Enter money that came in from outside."""
    amount = fen(body.amount_fen)
    budget = await use_cases.receive(call.session, call.caller, call.by, budget_id, amount, body.reason)
    return BudgetView.of(budget)


@router.post("/{budget_id}/allocations", status_code=status.HTTP_201_CREATED)
async def allocate_down(budget_id: UUID, body: AllocateDown, call: Once) -> BudgetView:
    """Hand money down to a lower unit. The reply is that unit's budget."""
    amount = fen(body.amount_fen)
    taker = await use_cases.allocate(
        call.session, call.caller, call.by, budget_id, body.organisation_id, amount, body.reason
    )
    return BudgetView.of(taker)


@router.post("/{budget_id}/entries/{entry_id}/reversal", status_code=status.HTTP_201_CREATED)
async def reverse_entry(budget_id: UUID, entry_id: UUID, body: ReverseEntry, call: Once) -> BudgetView:
    """Take an entry back by another: income, an allocation, or a payment whose money came back."""
    budget = await use_cases.reverse(call.session, call.caller, call.by, budget_id, entry_id, body.reason)
    return BudgetView.of(budget)


@router.get("/{budget_id}/statement")
async def get_statement(
    budget_id: UUID, page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys
) -> StatementView:
    """A page of the statement, oldest entry first: opening figures, entries, closing figures."""
    budget = await use_cases.read(session, caller, budget_id)
    purpose = f"statement:{budget.id}"
    values = page.after(ring, purpose)
    after: int = values[0] if values else 0
    opening = await repository.figures_at(session, budget.id, after)
    entries = await repository.statement(session, budget.id, after, page.limit)
    last = entries[-1].version if entries else after
    return StatementView(
        budget=BudgetView.of(budget),
        opening=FiguresView.of(opening),
        entries=[EntryView.of(entry) for entry in entries],
        closing=FiguresView.of(entries[-1].figures if entries else opening),
        next_cursor=seal_cursor(ring, purpose, [last]) if last < budget.version else None,
    )


@router.get("/{budget_id}/statement.csv", response_class=StreamingResponse, responses={200: _CSV})
async def get_statement_csv(
    budget_id: UUID, request: Request, session: Read, caller: CurrentCaller
) -> StreamingResponse:
    """The whole statement as CSV, amounts in yuan."""
    budget = await use_cases.read(session, caller, budget_id)
    content = statement_csv(database_of(request), Scope(caller.visible_paths()), budget)
    headers = {"Content-Disposition": f'attachment; filename="statement-{budget.year}-{budget.id}.csv"'}
    return StreamingResponse(content, media_type="text/csv; charset=utf-8", headers=headers)
