"""Files for and from a bank that has no interface. Both are CSV (RFC 4180) with a heading; amounts in yuan, two decimals.

Instruction file, UTF-8 with a byte order mark: `instruction_id,account,name,amount,remark`.
Result file, UTF-8 or GB 18030: `instruction_id,state,amount,reason` in any order, further columns ignored; `state` is accepted,
paid or failed (已受理, 成功, 失败), `amount` and `reason` may be empty.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from shared.kernel.errors import Invalid
from shared.kernel.money import Fen, fen_from_yuan, yuan
from welfare_service.funds.statement import cell, csv_lines
from welfare_service.payouts.bank import Instruction, reason_code
from welfare_service.payouts.domain import MAX_LINES, Answer, FindingKind, Said

MAX_RESULT_BYTES: Final = 1024 * 1024
#: More rows than a batch has are somebody else's file.
_MAX_ROWS: Final = 4 * MAX_LINES
_COLUMNS: Final = ("instruction_id", "state", "amount", "reason")
_SAID: Final = {
    "accepted": Said.ACCEPTED, "paid": Said.PAID, "failed": Said.FAILED,
    "已受理": Said.ACCEPTED, "受理": Said.ACCEPTED, "成功": Said.PAID, "已支付": Said.PAID, "失败": Said.FAILED,
}  # fmt: skip
#: What is kept of an unreadable reference: never a name or an account.
_REFERENCE: Final = re.compile(r"[0-9A-Fa-f-]{8,64}")


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A row of a result file; `number` counts like a spreadsheet, the heading being row 1. `problem`: it cannot be read."""

    number: int
    reference: str | None
    instruction_id: UUID | None
    answer: Answer | None
    said: str | None
    amount_fen: int | None
    problem: FindingKind | None


def instruction_file(instructions: Iterable[Instruction], number: str) -> bytes:
    """The file that is taken to the bank."""
    rows = [
        [str(one.id), one.account, cell(one.name), yuan(Fen(one.amount_fen)), number] for one in instructions
    ]
    heading = ["instruction_id", "account", "name", "amount", "remark"]
    return ("\ufeff" + csv_lines([heading, *rows])).encode()


def read_result(content: bytes) -> list[ResultRow]:
    """The rows of a result file. Raises Invalid for what is no such file."""
    reader = csv.reader(io.StringIO(_text(content), newline=""))
    try:
        table = list(reader)
    except csv.Error:
        raise Invalid("result-file-unreadable", field="file") from None
    if not table:
        raise Invalid("result-file-empty", field="file")
    heading = [name.strip().lower() for name in table[0]]
    if not {"instruction_id", "state"} <= set(heading):
        raise Invalid("result-heading-missing", field="file")
    if any(heading.count(name) > 1 for name in _COLUMNS):
        raise Invalid("result-heading-twice", field="file")
    if len(table) - 1 > _MAX_ROWS:
        raise Invalid("result-too-many-rows", field="file", limit=_MAX_ROWS)
    rows = [
        _row(number, dict(zip(heading, cells, strict=False)))
        for number, cells in enumerate(table[1:], 2)
        if any(value.strip() for value in cells)
    ]
    if not rows:
        raise Invalid("result-file-empty", field="file")
    return rows


def doubles(rows: Sequence[ResultRow]) -> set[int]:
    """Numbers of the rows that name an instruction which an earlier row named."""
    seen: set[UUID] = set()
    found = set()
    for row in rows:
        if row.instruction_id is None:
            continue
        if row.instruction_id in seen:
            found.add(row.number)
        seen.add(row.instruction_id)
    return found


def _text(content: bytes) -> str:
    if b"\0" in content:
        raise Invalid("result-file-unreadable", field="file")
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Invalid("result-file-unreadable", field="file")


def _row(number: int, cells: dict[str, str]) -> ResultRow:
    given = cells.get("instruction_id", "").strip().lstrip("'")
    said = _SAID.get(cells.get("state", "").strip().lower())
    amount, amount_is_bad = _amount(cells.get("amount", "").strip())
    instruction_id = _uuid(given)
    problem = None
    if instruction_id is None or said is None or amount_is_bad:
        problem = FindingKind.MALFORMED
    return ResultRow(
        number=number,
        reference=given if _REFERENCE.fullmatch(given) else None,
        instruction_id=instruction_id,
        answer=None
        if problem or said is None
        else Answer(said, amount, reason_code(cells.get("reason", "").strip())),
        said=said,
        amount_fen=amount,
        problem=problem,
    )


def _amount(given: str) -> tuple[int | None, bool]:
    """The amount in fen, if any, and whether what is given is none."""
    if not given:
        return None, False
    try:
        return fen_from_yuan(given.replace(",", "")), False
    except Invalid:
        return None, True


def _uuid(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None
