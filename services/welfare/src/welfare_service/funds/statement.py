"""A budget's whole statement as CSV, made while it is sent: a year may hold a million entries."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from typing import Final

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.kernel.money import Fen, yuan
from welfare_service.funds import repository
from welfare_service.funds.domain import Account, Budget, Figures
from welfare_service.funds.repository import Posted

#: Entries read at once.
_PAGE: Final = 1000
HEADINGS: Final = (
    "序号 no",
    "日期 date",
    "类型 kind",
    "拨入 allocated",
    "冻结 reserved",
    "已付 paid",
    "可用余额 available",
    "冻结余额 reserved balance",
    "已付累计 paid total",
    "帮扶申请 case",
    "事由 reason",
    "冲销 reverses",
    "凭证 entry",
)
#: Beginnings that a spreadsheet takes for a formula (OWASP, CSV injection), full-width forms too.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def cell(value: str) -> str:
    """A text that stays a text in any spreadsheet."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def csv_lines(rows: Iterable[Iterable[str]]) -> str:
    """Rows as CSV (RFC 4180)."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


async def statement_csv(database: Database, scope: Scope, budget: Budget) -> AsyncIterator[bytes]:
    """UTF-8 with a byte order mark, for spreadsheets. What is entered meanwhile is left out. Amounts in yuan."""
    yield "\ufeff".encode() + csv_lines([HEADINGS, _balance("期初 opening", Figures())]).encode()
    figures, position = Figures(), 0
    while position < budget.version:
        async with database.read(scope) as session:
            entries = await repository.statement(
                session, budget.id, position, min(_PAGE, budget.version - position)
            )
        if not entries:
            return
        yield csv_lines(_row(entry) for entry in entries).encode()
        figures, position = entries[-1].figures, entries[-1].version
    yield csv_lines([_balance("期末 closing", figures)]).encode()


def _row(entry: Posted) -> list[str]:
    amounts = {line.account: line.amount_fen for line in entry.lines}
    allocated = sum(amount for account, amount in amounts.items() if account is not Account.OUTSIDE)
    return [
        str(entry.version),
        entry.on.isoformat(),
        entry.kind.value,
        *(
            yuan(Fen(amount))
            for amount in (
                allocated,
                amounts.get(Account.RESERVED, 0),
                amounts.get(Account.PAID, 0),
                entry.figures.available_fen,
                entry.figures.reserved_fen,
                entry.figures.paid_fen,
            )
        ),
        str(entry.case_id or ""),
        cell(entry.reason or ""),
        str(entry.reverses or ""),
        str(entry.entry_id),
    ]


def _balance(label: str, figures: Figures) -> list[str]:
    amounts = (figures.available_fen, figures.reserved_fen, figures.paid_fen)
    return ["", "", label, "", "", "", *(yuan(Fen(amount)) for amount in amounts), "", "", "", ""]
