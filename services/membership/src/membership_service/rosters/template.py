"""The empty roster to download: drop-down lists, text format where digits must survive, notes in both languages."""

import io
from typing import Final

import xlsxwriter

from membership_service.rosters.checking import DOCUMENT_TYPES
from membership_service.rosters.columns import EMPLOYMENT_FORMS, ENGLISH, GENDERS, Column
from membership_service.rosters.domain import MAX_WORKBOOK_ROWS
from shared.contracts.membership import EmploymentForm
from shared.kernel.texts import text

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

#: Columns of the template in order, with their widths in characters.
COLUMNS: Final[dict[Column, int]] = {
    Column.NAME: 16,
    Column.DOCUMENT_TYPE: 24,
    Column.DOCUMENT_NUMBER: 24,
    Column.PHONE: 18,
    Column.GENDER: 8,
    Column.BIRTH_DATE: 14,
    Column.EMPLOYMENT_FORM: 16,
    Column.ORGANISATION: 18,
    Column.JOINED_ON: 14,
    Column.NOTE: 28,
}
#: The first words of each list; the others are read too, but not offered.
LISTS: Final[dict[Column, list[str]]] = {
    Column.DOCUMENT_TYPE: list(DOCUMENT_TYPES)[:6],
    Column.GENDER: list(GENDERS)[:2],
    Column.EMPLOYMENT_FORM: list(EMPLOYMENT_FORMS)[: len(EmploymentForm)],
}
_NOTES: Final[dict[Column, str]] = {
    Column.NAME: "roster-note-name",
    Column.DOCUMENT_TYPE: "roster-note-document-type",
    Column.DOCUMENT_NUMBER: "roster-note-document-number",
    Column.PHONE: "roster-note-phone",
    Column.GENDER: "roster-note-gender",
    Column.BIRTH_DATE: "roster-note-birth-date",
    Column.EMPLOYMENT_FORM: "roster-note-employment-form",
    Column.ORGANISATION: "roster-note-organisation",
    Column.JOINED_ON: "roster-note-joined-on",
    Column.NOTE: "roster-note-note",
}
_DATES: Final = frozenset({Column.BIRTH_DATE, Column.JOINED_ON})


def template() -> bytes:
    """The workbook, as bytes."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet("会员名册")
        as_text = book.add_format({"num_format": "@"})
        as_date = book.add_format({"num_format": "yyyy-mm-dd"})
        heading = {"bold": True, "text_wrap": True, "valign": "vcenter", "border": 1}
        needed = book.add_format({**heading, "bg_color": "#F8D7DA"})
        optional = book.add_format({**heading, "bg_color": "#E2E8F0"})
        sheet.set_row(0, 34)
        sheet.freeze_panes(1, 1)
        for position, (column, width) in enumerate(COLUMNS.items()):
            sheet.set_column(position, position, width, as_date if column in _DATES else as_text)
            required = column in (Column.NAME, Column.DOCUMENT_NUMBER)
            sheet.write_string(
                0, position, f"{column.value}\n{ENGLISH[column]}", needed if required else optional
            )
            if column in LISTS:
                sheet.data_validation(1, position, MAX_WORKBOOK_ROWS, position, _list(LISTS[column]))
        _write_notes(book)
    return out.getvalue()


def _list(words: list[str]) -> dict[str, object]:
    return {
        "validate": "list",
        "source": words,
        "error_title": "请从列表中选择",
        "error_message": "请从下拉列表中选择。\nPlease choose from the list.",
    }


def _write_notes(book: xlsxwriter.Workbook) -> None:
    sheet = book.add_worksheet("填写说明 Notes")
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    bold = book.add_format({"bold": True, "valign": "top", "text_wrap": True})
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 1, 90)
    for line, (column, note) in enumerate(_NOTES.items()):
        sheet.write_string(line, 0, f"{column.value} / {ENGLISH[column]}", bold)
        sheet.write_string(line, 1, f"{text(note, 'zh-CN')}\n{text(note, 'en')}", wrapped)
