"""What one can do with money: one function per verb, each in the transaction that it is given.

`reserve`, `release` and `settle` belong to a case whose row the caller has locked. They are carried out at the very end of the
transaction (`WriteSession.at_last`), because many want the same budget at once; what they refuse rolls all of it back.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

from shared.database.session import ReadSession, WriteSession
from shared.directory.organisations import place_of_organisation
from shared.kernel.errors import Invalid, NotFound
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from shared.security.acting import By
from shared.security.policy import Action, Caller
from welfare_service.funds import domain, repository
from welfare_service.funds.domain import Budget, Source


async def create(
    session: WriteSession,
    caller: Caller,
    by: By,
    *,
    organisation_id: UUID,
    year: int,
    source: Source,
    name: str,
    amount: Fen | None,
) -> Budget:
    """A budget of a unit, with what came in for it; one that is there already only receives it. Raises NotFound, Invalid."""
    domain.must_take_income(source)
    place = await place_of_organisation(session, organisation_id)
    if place is None:
        raise NotFound("not-found")
    caller.require(Action.BUDGET_CHANGE, place)
    budget = await _obtain(session, by, organisation_id, place, year, source, name)
    session.audit("budget.created", "budget", budget.id, path=budget.path)
    if amount is None:
        return budget
    await repository.post(session, domain.income(new_id(), budget.id, amount, by))
    return await repository.get(session, budget.id)


async def receive(
    session: WriteSession, caller: Caller, by: By, budget_id: UUID, amount: Fen, reason: str
) -> Budget:
    """Money came in for a budget from outside."""
    budget = await _changeable(session, caller, budget_id)
    domain.must_take_income(budget.source)
    await repository.post(session, domain.income(new_id(), budget.id, amount, by, reason))
    session.audit("budget.received", "budget", budget.id, path=budget.path)
    return await repository.get(session, budget_id)


async def allocate(
    session: WriteSession,
    caller: Caller,
    by: By,
    budget_id: UUID,
    organisation_id: UUID,
    amount: Fen,
    reason: str | None,
) -> Budget:
    """Hand money down to a lower unit; its budget of the same year and name, made if need be. Gives that budget."""
    giver = await _changeable(session, caller, budget_id)
    place = await place_of_organisation(session, organisation_id)
    if place is None or not place.startswith(giver.path) or place == giver.path:
        raise Invalid("allocation-not-below", field="organisation_id")
    source = domain.source_below(giver.source)
    taker = await _obtain(session, by, organisation_id, place, giver.year, source, giver.name)
    await repository.lock_in_order(session, [giver.id, taker.id])
    await repository.post(session, domain.allocation(new_id(), giver.id, taker.id, amount, by, reason))
    session.audit("budget.allocated", "budget", giver.id, {"to": str(taker.id)}, path=giver.path)
    return await repository.get(session, taker.id)


async def reverse(
    session: WriteSession, caller: Caller, by: By, budget_id: UUID, entry_id: UUID, reason: str
) -> Budget:
    """Take an entry back: income, an allocation, or a payment whose money came back. Once; a correction stays.

    Raises NotFound for an entry of another budget, Conflict.
    """
    budget = await _changeable(session, caller, budget_id)
    wrong = await repository.find_entry(session, entry_id)
    touched = [move.budget_id for move in wrong.moves]
    if budget.id not in touched:
        raise NotFound("not-found")
    for other in touched:
        await _changeable(session, caller, other)
    await repository.lock_in_order(session, touched)
    await repository.post(session, domain.reversal(new_id(), wrong, by, reason))
    session.audit("budget.reversed", "budget", budget.id, {"entry": str(entry_id)}, path=budget.path)
    return await repository.get(session, budget_id)


async def reserve(session: WriteSession, budget_id: UUID, case_id: UUID, amount: Fen, by: By) -> None:
    """Keep money for an approved case. Refused at the end: Conflict "budget-exhausted", "budget-of-another-year"."""

    async def work() -> None:
        await repository.post(session, domain.reservation(new_id(), budget_id, case_id, amount, by))

    session.at_last(_within(session, budget_id, work))


async def release(session: WriteSession, budget_id: UUID, case_id: UUID, by: By) -> None:
    """Free what is reserved for a case that was cancelled. Refused at the end: Conflict for nothing or for the second time."""

    async def work() -> None:
        reserved = await repository.held(session, budget_id, case_id)
        await repository.post(session, domain.release(new_id(), budget_id, case_id, reserved, by))

    session.at_last(_within(session, budget_id, work))


async def settle(session: WriteSession, budget_id: UUID, case_id: UUID, paid: Fen, by: By) -> None:
    """The bank paid a case; what was reserved beyond that is free again. Refused at the end: Conflict for the second time."""

    async def work() -> None:
        reserved = await repository.held(session, budget_id, case_id)
        await repository.post(session, domain.payment(new_id(), budget_id, case_id, reserved, paid, by))

    session.at_last(_within(session, budget_id, work))


async def hand_over(session: WriteSession, unit: UUID, successor: UUID, path: str) -> None:
    """A unit was dissolved: who takes over at `path` has its money and its books from now on."""
    for budget_id in await repository.hand_over(session, unit, successor, path):
        session.audit("budget.handed-over", "budget", budget_id, {"from": str(unit)}, path=path)


async def budget_path(session: ReadSession, budget_id: UUID) -> str | None:
    """The path of a budget's unit, whether the caller sees it or not; None for no budget."""
    return await repository.path_of(session, budget_id)


async def read(session: ReadSession, caller: Caller, budget_id: UUID) -> Budget:
    """A budget, for those who may read it."""
    budget = await repository.get(session, budget_id)
    caller.require(Action.BUDGET_READ, budget.path)
    return budget


def _within(
    session: WriteSession, budget_id: UUID, work: Callable[[], Awaitable[None]]
) -> Callable[[], Awaitable[None]]:
    """`work` where the budget can be seen: one who decides on a case below may use it without a look at it."""

    async def widened() -> None:
        if not session.granted.whole:
            path = await repository.path_of(session, budget_id)
            if path is None:
                raise NotFound("not-found")
            if not any(path.startswith(root) for root in session.granted.paths):
                await session.widen_scope(path)
        await work()

    return widened


async def _changeable(session: WriteSession, caller: Caller, budget_id: UUID) -> Budget:
    budget = await repository.get(session, budget_id)
    caller.require(Action.BUDGET_CHANGE, budget.path)
    return budget


async def _obtain(
    session: WriteSession,
    by: By,
    organisation_id: UUID,
    path: str,
    year: int,
    source: Source,
    name: str,
) -> Budget:
    fresh = Budget(
        id=new_id(),
        organisation_id=organisation_id,
        path=path,
        year=year,
        source=source,
        name=name,
        created_at=by.at,
    )
    return await repository.obtain(session, fresh)
