"""Made-up people and roster files."""

import csv
import io
from collections.abc import Sequence
from datetime import date

import xlsxwriter

from membership_service.members.documents import check_digit
from membership_service.rosters.columns import Cell

TODAY = date(2026, 3, 2)
HEADINGS: list[Cell] = [
    "姓名",
    "证件类型",
    "证件号码",
    "手机号",
    "性别",
    "出生日期",
    "用工形式",
    "工会组织编码",
    "入会日期",
    "备注",
]


def resident_id(serial: int = 1, *, born: str = "19900307", region: str = "990000", male: bool = True) -> str:
    """A valid number under an unassigned region."""
    first = f"{region}{born}{serial * 2 + male:03d}"
    return first + check_digit(first)


def row_of(**cells: Cell) -> list[Cell]:
    """A good row of HEADINGS with some cells changed."""
    good: dict[str, Cell] = {
        "姓名": "王小明",
        "证件号码": resident_id(),
        "手机号": "13800000001",
        "用工形式": "劳动合同",
    }
    return [{**good, **cells}.get(str(heading), "") for heading in HEADINGS]


def workbook(rows: Sequence[Sequence[Cell]], *, merge: tuple[int, int, int, int] | None = None) -> bytes:
    """Rows as `.xlsx`; strings stay strings, numbers numbers, dates dates."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(
        out, {"in_memory": True, "strings_to_formulas": False, "default_date_format": "yyyy-mm-dd"}
    ) as book:
        sheet = book.add_worksheet()
        for line, cells in enumerate(rows):
            for position, cell in enumerate(cells):
                if cell != "":
                    sheet.write(line, position, cell)
        if merge:
            sheet.merge_range(*merge, "合并")
    return out.getvalue()


def comma_separated(
    rows: Sequence[Sequence[Cell]], *, encoding: str = "utf-8", delimiter: str = ","
) -> bytes:
    """Rows as `.csv`."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode(encoding)
