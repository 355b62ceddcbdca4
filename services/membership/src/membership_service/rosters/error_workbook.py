"""The error workbook: the rejected rows as they came, with columns that say where each stood and why it was rejected.

It can be corrected and uploaded again. Every cell is written as text, so that `=1+1` stays what somebody typed and an ID
number keeps its digits.
"""

import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Final

import xlsxwriter

from membership_service.rosters.columns import ENGLISH, OURS, Cell, Column, Header

#: A file with more rejected rows is wrong as a whole; correcting the first of them shows how.
MAX_ROWS: Final = 20_000
_MAX_CELL: Final = 32_000


def error_workbook(
    header: Header, rows: Iterable[tuple[int, Sequence[Cell]]], reasons: dict[int, str], legend: str
) -> bytes:
    """The rows named in `reasons` (row number → words), in their order. `legend` stands in the heading of the reasons."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("错误数据")
        as_text = book.add_format({"num_format": "@"})
        head = book.add_format({"bold": True, "text_wrap": True, "bg_color": "#E2E8F0", "num_format": "@"})
        wrong = book.add_format({"text_wrap": True, "font_color": "#B00020", "num_format": "@"})
        width = len(header.headings)
        number_at = header.positions[Column.DOCUMENT_NUMBER]
        kept = [position for position in range(width) if header.headings[position].split("\n")[0] not in OURS]
        row_at, reason_at = len(kept), len(kept) + 1
        for position, original in enumerate(kept):
            sheet.write_string(0, position, header.headings[original][:_MAX_CELL], head)
        sheet.write_string(0, row_at, f"{Column.ORIGINAL_ROW.value}\n{ENGLISH[Column.ORIGINAL_ROW]}", head)
        sheet.write_string(0, reason_at, f"{Column.REASON.value}\n{legend}", head)
        sheet.set_column(0, row_at, 20, as_text)
        sheet.set_column(reason_at, reason_at, 70, as_text)
        sheet.freeze_panes(1, 0)
        line = 1
        for number, cells in rows:
            if number not in reasons:
                continue
            for position, original in enumerate(kept):
                words = _as_typed(cells[original], original == number_at) if original < len(cells) else ""
                sheet.write_string(line, position, words[:_MAX_CELL], as_text)
            sheet.write_string(line, row_at, str(number), as_text)
            sheet.write_string(line, reason_at, reasons[number][:_MAX_CELL], wrong)
            line += 1
            if line > min(MAX_ROWS, len(reasons)):
                break
    return out.getvalue()


def _as_typed(cell: Cell, is_document_number: bool) -> str:  # noqa: FBT001 - private, one caller
    if cell is None or (is_document_number and not isinstance(cell, str)):
        # A number has lost digits: shown, it could pass for the true one when it comes back.
        return ""
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == datetime.min.time() else cell.isoformat(" ")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
