"""The columns of a roster: their headings in both languages, how cells are cleaned, which words they may hold."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from membership_service.rosters.domain import MAX_COLUMNS, FileRefused
from shared.contracts.membership import EmploymentForm, Gender

Cell = str | int | float | bool | date | datetime | time | timedelta | None

#: A header stands within the first rows: a title or a note may stand above it.
HEADER_WITHIN: Final = 20


class Column(StrEnum):
    """A column that the import understands. The value is its Chinese heading, which reports name."""

    NAME = "姓名"
    DOCUMENT_TYPE = "证件类型"
    DOCUMENT_NUMBER = "证件号码"
    PHONE = "手机号"
    GENDER = "性别"
    BIRTH_DATE = "出生日期"
    EMPLOYMENT_FORM = "用工形式"
    ORGANISATION = "工会组织编码"
    JOINED_ON = "入会日期"
    NOTE = "备注"
    ORIGINAL_ROW = "原行号"  # this and the next are ours, in an error workbook: ignored when it comes back
    REASON = "错误原因"


ENGLISH: Final[dict[Column, str]] = {
    Column.NAME: "Name",
    Column.DOCUMENT_TYPE: "Document type",
    Column.DOCUMENT_NUMBER: "Document number",
    Column.PHONE: "Mobile phone",
    Column.GENDER: "Gender",
    Column.BIRTH_DATE: "Date of birth",
    Column.EMPLOYMENT_FORM: "Employment form",
    Column.ORGANISATION: "Organisation code",
    Column.JOINED_ON: "Joined on",
    Column.NOTE: "Note",
    Column.ORIGINAL_ROW: "Original row",
    Column.REASON: "Reason",
}
#: Columns that an error workbook adds.
OURS: Final = (Column.ORIGINAL_ROW, Column.REASON)
REQUIRED: Final = (Column.NAME, Column.DOCUMENT_NUMBER)

_ALSO: Final[dict[Column, tuple[str, ...]]] = {
    Column.NAME: ("会员姓名", "职工姓名", "full name"),
    Column.DOCUMENT_TYPE: ("证件种类", "id type"),
    Column.DOCUMENT_NUMBER: ("身份证号", "身份证号码", "公民身份号码", "证件号", "身份证", "id number"),
    Column.PHONE: ("手机", "手机号码", "联系电话", "电话", "移动电话", "phone", "mobile"),
    Column.BIRTH_DATE: ("出生年月日", "birth date"),
    Column.GENDER: ("sex",),
    Column.EMPLOYMENT_FORM: ("就业形式", "用工类型", "用工性质", "employment"),
    Column.ORGANISATION: ("组织编码", "工会编码", "organisation", "organization code", "organization"),
    Column.JOINED_ON: ("入会时间", "加入日期", "join date"),
    Column.NOTE: ("说明", "remark", "remarks", "notes"),
    Column.REASON: ("原因", "错误说明", "reasons"),
}

GENDERS: Final[dict[str, Gender]] = {
    "男": Gender.MALE,
    "女": Gender.FEMALE,
    "未知": Gender.UNKNOWN,
    "male": Gender.MALE,
    "female": Gender.FEMALE,
    "unknown": Gender.UNKNOWN,
    "m": Gender.MALE,
    "f": Gender.FEMALE,
    "男性": Gender.MALE,
    "女性": Gender.FEMALE,
}
EMPLOYMENT_FORMS: Final[dict[str, EmploymentForm]] = {
    "劳动合同": EmploymentForm.CONTRACT,
    "劳务派遣": EmploymentForm.DISPATCHED,
    "灵活就业": EmploymentForm.FLEXIBLE,
    "新就业形态": EmploymentForm.NEW_FORM,
    "农民工": EmploymentForm.MIGRANT,
    "退休": EmploymentForm.RETIRED,
    "其他": EmploymentForm.OTHER,
    "合同制": EmploymentForm.CONTRACT,
    "合同工": EmploymentForm.CONTRACT,
    "派遣": EmploymentForm.DISPATCHED,
    "新业态": EmploymentForm.NEW_FORM,
    "contract": EmploymentForm.CONTRACT,
    "dispatched": EmploymentForm.DISPATCHED,
    "flexible": EmploymentForm.FLEXIBLE,
    "new form": EmploymentForm.NEW_FORM,
    "new_form": EmploymentForm.NEW_FORM,
    "migrant": EmploymentForm.MIGRANT,
    "retired": EmploymentForm.RETIRED,
    "other": EmploymentForm.OTHER,
}

_INVISIBLE = dict.fromkeys(
    [0x00AD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x202A, 0x202C, 0x202D, 0x2060, 0xFEFF]
)
_HALF_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)}
_SPACES = dict.fromkeys([0x00A0, 0x2002, 0x2003, 0x2009, 0x202F, 0x3000], " ")
#: Full-width forms to ASCII, odd spaces to a space, invisible characters away. Not NFKC: it rewrites rare characters.
_PLAIN: Final = {**_INVISIBLE, **_HALF_WIDTH, **_SPACES}
_DIGITS_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?: 0?0:00(?::00(?:\.0+)?)?)?")
#: Excel counts days from here (its leap-year mistake of 1900 is behind every date that occurs).
_EXCEL_EPOCH: Final = date(1899, 12, 30)


def plain(text: str) -> str:
    """`text` with full-width forms made ASCII, invisible characters removed and ends stripped."""
    return text.strip() if text.isascii() else text.translate(_PLAIN).strip()


def plain_cell(cell: Cell) -> str:
    """A cell as clean text. A whole float loses its ".0"; dates become ISO."""
    if isinstance(cell, str):
        return plain(cell)
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    return str(cell)


def date_of(cell: Cell) -> date | None:
    """The date in a cell: a date, a number of days as Excel counts, or text such as 2026-01-31, 2026/1/31, 20260131,
    2026年1月31日. None when it is empty. Raises ValueError when it is none of these.
    """
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        if float(cell).is_integer() and 1 <= cell <= 80_000:
            return _EXCEL_EPOCH + timedelta(days=int(cell))
        cell = plain_cell(cell)
    if cell is None:
        return None
    if not isinstance(cell, str):
        raise ValueError("not a date")  # noqa: TRY004 - whatever is in the cell, it is wrong in the same way
    text = plain(cell)
    if not text:
        return None
    match = _DIGITS_DATE.fullmatch(text) or _DATE.fullmatch(text)
    if match is None:
        raise ValueError("not a date")
    return date(int(match[1]), int(match[2]), int(match[3]))


def _key(heading: str) -> str:
    return re.sub(r"[\s_*＊:：()（）-]", "", unicodedata.normalize("NFKC", heading)).lower()


_COLUMN_OF: Final = {
    _key(heading): column
    for column in Column
    for heading in (column.value, ENGLISH[column], *_ALSO.get(column, ()))
}


def column_of(cell: Cell) -> Column | None:
    """The column that a heading names, in either language; two lines or "姓名/Name" are both."""
    if not isinstance(cell, str) or not cell or len(cell) > 60:
        return None
    whole = _COLUMN_OF.get(_key(cell))
    if whole is not None:
        return whole
    found = {_COLUMN_OF.get(_key(part)) for part in re.split(r"[\n/|]", cell)} - {None}
    return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Header:
    """Where each known column stands. `row` counts from 1, as spreadsheets show it; positions count from 0."""

    row: int
    positions: dict[Column, int]
    headings: tuple[str, ...]


def recognise(row: int, cells: Sequence[Cell]) -> Header | None:
    """The header in this row, if it is one: at least two known columns, the required ones among them.

    Raises FileRefused for a header that repeats a column, lacks a required one or is wider than MAX_COLUMNS.
    """
    positions: dict[Column, int] = {}
    if len(cells) > MAX_COLUMNS and any(cell not in ("", None) for cell in cells[MAX_COLUMNS:]):
        raise FileRefused("roster-too-many-columns", limit=MAX_COLUMNS)
    for position, cell in enumerate(cells):
        column = column_of(cell)
        if column is None or column in (Column.NOTE, *OURS):
            continue
        if column in positions:
            raise FileRefused("roster-column-twice", column=column.value)
        positions[column] = position
    if len(positions) < 2:
        return None
    for column in REQUIRED:
        if column not in positions:
            raise FileRefused("roster-column-missing", column=column.value)
    return Header(row, positions, tuple(plain_cell(cell) for cell in cells))
