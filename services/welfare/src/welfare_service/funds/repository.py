"""Every query of budgets and the journal. The figures of a budget change by one statement, `post`, and by nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from shared.database.paths import in_subtree
from shared.database.session import ReadSession, WriteSession, as_columns, driver
from shared.kernel.errors import Conflict, NotFound
from shared.security.acting import By
from welfare_service.funds.domain import Account, Budget, Entry, EntryKind, Figures, Line, Move
from welfare_service.funds.tables import budgets, journal_entries, journal_lines

#: Parameters of `posting`, an array each, in the order of `values_of`: first of the entries, then of their moves.
_OF_ENTRIES: Final = ("uuid", "text", "date", "timestamptz", "text", "text", "uuid", "text", "uuid")
_OF_MOVES: Final = ("int", "int", "uuid", *("bigint",) * 4)


def posting(first: int, among: str) -> str:
    """The parts of a statement that write entries; its parameters begin at $`first`, its last part `moved` gives their moves.

    `among` is what follows FROM, with a column `nth`: the places, from 1, of the entries that are to be written. It is asked, and
    the entries written, before the budgets' rows are touched: they are locked for the rest of the statement and the commit alone.
    Fewer moves than the entries have, or a broken unique index, and the caller must roll back and say why (`post`).
    """
    kinds = enumerate((*_OF_ENTRIES, *_OF_MOVES), first)
    arrays = [f"${place}::{kind}[]" for place, kind in kinds]
    entries, moves = arrays[: len(_OF_ENTRIES)], arrays[len(_OF_ENTRIES) :]
    return f"""
    written AS MATERIALIZED (
        SELECT nth FROM {among}
    ), entered AS (
        INSERT INTO journal_entries (id, kind, on_date, at, actor_issuer, actor_subject, case_id, reason, reverses)
        SELECT {", ".join(f"({entry})[nth]" for entry in entries)} FROM written
        RETURNING 1
    ), moved AS MATERIALIZED (
        SELECT move.*, after.* FROM unnest({", ".join(moves)})
            AS move (nth, of_year, budget_id, allocated, reserved, paid, income),
            LATERAL move_money(move.budget_id, move.of_year, move.allocated, move.reserved, move.paid)
                AS after (version, available_fen, reserved_fen, paid_fen)
        WHERE (SELECT count(*) FROM entered) > 0 AND move.nth = ANY (ARRAY(SELECT nth FROM written))
    ), lines AS (
        INSERT INTO journal_lines
            (budget_id, version, account, entry_id, amount_fen, available_fen, reserved_fen, paid_fen)
        SELECT moved.budget_id, moved.version, line.account, ({entries[0]})[moved.nth], line.amount,
            moved.available_fen, moved.reserved_fen, moved.paid_fen
        FROM moved CROSS JOIN LATERAL (VALUES
            ('outside', -moved.income), ('available', moved.allocated - moved.reserved - moved.paid),
            ('reserved', moved.reserved), ('paid', moved.paid)
        ) AS line (account, amount)
        WHERE line.amount <> 0
    )"""  # noqa: S608 - made of constants


def values_of(entries: Sequence[Entry]) -> list[list[Any]]:
    """The parameters of `posting`."""
    heads = [
        (
            *(entry.id, entry.kind.value, entry.by.today, entry.by.at, entry.by.issuer, entry.by.subject),
            *(entry.case_id, entry.reason, entry.reverses),
        )
        for entry in entries
    ]
    moves = [
        (
            *(nth, entry.year, move.budget_id),
            *(move.allocated_fen, move.reserved_fen, move.paid_fen, move.income_fen),
        )
        for nth, entry in enumerate(entries, 1)
        for move in entry.moves
    ]
    return as_columns(heads) + as_columns(moves)


_POST: Final = f"WITH {posting(1, '(VALUES (1)) AS one (nth)')} SELECT count(*) FROM moved"  # noqa: S608 - made of constants
_HELD: Final = """
    SELECT line.amount_fen FROM journal_entries entry
    JOIN journal_lines line ON line.entry_id = entry.id AND line.account = 'reserved'
    WHERE entry.case_id = $1 AND entry.kind = 'reservation' AND line.budget_id = $2
"""
_IN_ORDER: Final = text("SELECT id FROM budgets WHERE id = ANY(:ids) ORDER BY id FOR UPDATE")
_HAND_OVER: Final = text("""
    UPDATE budgets SET organisation_id = :successor, path = :path, name = name || ' · ' || coalesce(
        (SELECT code FROM directory_organisations WHERE id = :unit), CAST(:unit AS text))
    WHERE organisation_id = :unit RETURNING id
""")
_PATH: Final = "SELECT find_budget_path($1)"
#: Why the same thing cannot be entered twice, by the index that says so.
_TWICE: Final = {
    "uq_journal_entries_reservation": "case-already-reserved",
    "uq_journal_entries_end": "case-money-settled",
    "uq_journal_entries_reverses": "entry-already-reversed",
}


@dataclass(frozen=True, slots=True)
class Posted:
    """An entry as it stands in the journal, seen from one budget; `figures` are those after it."""

    version: int
    entry_id: UUID
    kind: EntryKind
    on: date
    at: datetime
    actor_subject: str
    case_id: UUID | None
    reason: str | None
    reverses: UUID | None
    lines: tuple[Line, ...]
    figures: Figures


async def get(session: ReadSession, budget_id: UUID) -> Budget:
    """The budget. Raises NotFound, also for what the caller may not see."""
    found = select(Budget).where(budgets.c.id == budget_id).execution_options(populate_existing=True)
    budget = await session.scalar(found)
    if budget is None:
        raise NotFound("not-found")
    return budget


async def path_of(session: ReadSession, budget_id: UUID) -> str | None:
    """Where a budget belongs, seen by the caller or not. Asked for every approval: the driver alone costs half."""
    connection = await driver(session)
    path: str | None = await connection.fetchval(_PATH, budget_id)
    return path


async def obtain(session: WriteSession, budget: Budget) -> Budget:
    """The budget of this unit, year, source and name: the one there is, or `budget` as a new one."""
    key = {name: getattr(budget, name) for name in ("organisation_id", "year", "source", "name")}
    columns = {column.name: getattr(budget, column.name) for column in budgets.columns}
    await session.execute(
        insert(budgets).values(columns).on_conflict_do_nothing(constraint="uq_budgets_purpose")
    )
    found = await session.scalar(select(Budget).filter_by(**key))
    if found is None:
        raise NotFound("not-found")
    return found


async def page(
    session: ReadSession, roots: Sequence[str], year: int, after: tuple[str, UUID] | None, limit: int
) -> Sequence[Budget]:
    """Up to `limit` budgets of a year in the subtrees `roots` (sorted, none within another), by path and id."""
    found: list[Budget] = []
    for root in roots:
        rows = select(Budget).where(budgets.c.year == year, in_subtree(budgets.c.path, root))
        if after:
            rows = rows.where(tuple_(budgets.c.path, budgets.c.id) > after)
        rows = rows.order_by(budgets.c.path, budgets.c.id).limit(limit - len(found))
        found.extend(await session.scalars(rows))
        if len(found) >= limit:
            break
    return found


async def hand_over(session: WriteSession, unit: UUID, successor: UUID, path: str) -> list[UUID]:
    """Let another unit keep the books of a dissolved one; the ids of its budgets.

    Their names say whose they were: the other unit may have budgets of the same names.
    """
    values = {"unit": unit, "successor": successor, "path": path}
    return list(await session.scalars(_HAND_OVER, values))


async def lock_in_order(session: WriteSession, ids: Sequence[UUID]) -> None:
    """Lock several budgets so that two who want the same ones do not wait for each other."""
    await session.execute(_IN_ORDER, {"ids": list(ids)})


async def post(session: WriteSession, entry: Entry) -> None:
    """Write an entry and change the figures of its budgets, or raise why not: Conflict, NotFound."""
    connection = await driver(session)
    try:
        moved = await connection.fetchval(_POST, *values_of([entry]))
    except asyncpg.UniqueViolationError as error:
        code = _TWICE.get(error.constraint_name or "")
        if code is None:
            raise
        raise Conflict(code) from None
    if moved != len(entry.moves):
        await _explain(session, entry)


async def _explain(session: WriteSession, entry: Entry) -> None:
    """Raise why an entry was refused."""
    for move in entry.moves:
        (await get(session, move.budget_id)).take(entry)
    # What stood in the way has gone since; whoever asks again will be served.
    raise Conflict("budget-exhausted")


async def held(session: WriteSession, budget_id: UUID, case_id: UUID) -> int:
    """What was reserved for a case in this budget. Raises Conflict("nothing-reserved")."""
    connection = await driver(session)
    amount: int | None = await connection.fetchval(_HELD, case_id, budget_id)
    if amount is None:
        raise Conflict("nothing-reserved")
    return amount


async def find_entry(session: ReadSession, entry_id: UUID) -> Entry:
    """An entry with as many of its lines as the caller sees. Raises NotFound, Conflict when it sees but one side."""
    rows = (await session.execute(_of(journal_lines.c.entry_id == entry_id))).all()
    if not rows:
        raise NotFound("not-found")
    amounts: dict[UUID, dict[Account, int]] = {}
    for row in rows:
        amounts.setdefault(row.budget_id, {})[Account(row.account)] = row.amount_fen
    if sum(row.amount_fen for row in rows):
        # The other side lies beyond the caller's scope.
        raise Conflict("entry-of-another-unit")
    head = rows[0]
    return Entry(
        id=head.id,
        kind=EntryKind(head.kind),
        moves=tuple(_move(budget_id, of) for budget_id, of in amounts.items()),
        by=By(head.actor_issuer, head.actor_subject, head.at),
        case_id=head.case_id,
        reason=head.reason,
        reverses=head.reverses,
    )


async def statement(session: ReadSession, budget_id: UUID, after: int, limit: int) -> list[Posted]:
    """The entries of a budget at positions above `after`, up to `limit` of them, in order. Positions have no gaps."""
    rows = await session.execute(
        _of(
            (journal_lines.c.budget_id == budget_id)
            & (journal_lines.c.version > after)
            & (journal_lines.c.version <= after + limit)
        )
    )
    found: dict[int, Posted] = {}
    for row in rows:
        line = Line(row.budget_id, Account(row.account), row.amount_fen)
        known = found.get(row.version)
        found[row.version] = _posted(row, (*known.lines, line) if known else (line,))
    return list(found.values())


async def figures_at(session: ReadSession, budget_id: UUID, version: int) -> Figures:
    """The figures of a budget after the entry at this position; all zero before the first."""
    columns = journal_lines.c
    row = (
        await session.execute(
            select(columns.available_fen, columns.reserved_fen, columns.paid_fen)
            .where(columns.budget_id == budget_id, columns.version == version)
            .limit(1)
        )
    ).first()
    return _figures(row) if row else Figures()


def _of(condition: Any) -> Any:
    return (
        select(journal_lines, journal_entries)
        .join_from(journal_lines, journal_entries, journal_lines.c.entry_id == journal_entries.c.id)
        .where(condition)
        .order_by(journal_lines.c.budget_id, journal_lines.c.version, journal_lines.c.account)
    )


def _posted(row: Any, lines: tuple[Line, ...]) -> Posted:
    return Posted(
        version=row.version,
        entry_id=row.entry_id,
        kind=EntryKind(row.kind),
        on=row.on_date,
        at=row.at,
        actor_subject=row.actor_subject,
        case_id=row.case_id,
        reason=row.reason,
        reverses=row.reverses,
        lines=lines,
        figures=_figures(row),
    )


def _figures(row: Any) -> Figures:
    return Figures(row.available_fen + row.reserved_fen + row.paid_fen, row.reserved_fen, row.paid_fen)


def _move(budget_id: UUID, amounts: dict[Account, int]) -> Move:
    reserved, paid = amounts.get(Account.RESERVED, 0), amounts.get(Account.PAID, 0)
    return Move(
        budget_id=budget_id,
        allocated_fen=amounts.get(Account.AVAILABLE, 0) + reserved + paid,
        reserved_fen=reserved,
        paid_fen=paid,
        income_fen=-amounts.get(Account.OUTSIDE, 0),
    )
