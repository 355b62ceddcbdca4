"""The check of one row: what it says, brought into one written form, or every problem it has. Pure.

Nothing unsealed leaves this module but names, dates, classes and masked numbers (settled §28).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeVar

from membership_service.members import documents, names, phones
from membership_service.members.documents import DocumentType
from membership_service.members.people import MINIMUM_AGE, birth_problem
from membership_service.rosters.columns import (
    EMPLOYMENT_FORMS,
    GENDERS,
    Cell,
    Column,
    Header,
    date_of,
    plain_cell,
)
from membership_service.rosters.domain import CellProblem
from shared.contracts.membership import EmploymentForm, Gender
from shared.security.masking import mask_document, mask_phone

DOCUMENT_TYPES: Final[dict[str, DocumentType]] = {
    "居民身份证": DocumentType.RESIDENT_ID,
    "港澳居民来往内地通行证": DocumentType.HONG_KONG_MACAO_PERMIT,
    "台湾居民来往大陆通行证": DocumentType.TAIWAN_PERMIT,
    "外国人永久居留身份证": DocumentType.FOREIGN_PERMANENT_RESIDENCE,
    "护照": DocumentType.PASSPORT,
    "军官证": DocumentType.MILITARY,
    "身份证": DocumentType.RESIDENT_ID,
    "港澳台居民居住证": DocumentType.RESIDENT_ID,
    "港澳通行证": DocumentType.HONG_KONG_MACAO_PERMIT,
    "台胞证": DocumentType.TAIWAN_PERMIT,
    "台湾通行证": DocumentType.TAIWAN_PERMIT,
    "外国人永久居留证": DocumentType.FOREIGN_PERMANENT_RESIDENCE,
    "士兵证": DocumentType.MILITARY,
    "resident id": DocumentType.RESIDENT_ID,
    "hong kong / macao permit": DocumentType.HONG_KONG_MACAO_PERMIT,
    "taiwan permit": DocumentType.TAIWAN_PERMIT,
    "foreign permanent residence": DocumentType.FOREIGN_PERMANENT_RESIDENCE,
    "passport": DocumentType.PASSPORT,
    "military id": DocumentType.MILITARY,
    **{kind.value: kind for kind in DocumentType},
}

Word = TypeVar("Word", DocumentType, Gender, EmploymentForm)

_EARLIEST: Final = date(1900, 1, 1)
_MAX_TEXT: Final = 64
#: Of a date with its hour; a phone and most documents have more.
_DATE_DIGITS: Final = 10
_LETTER_AND_DIGIT: Final = re.compile(r"[A-Za-z]\d")
#: What a spreadsheet program writes into a `.csv` after it took an 18-digit number for a quantity.
_SCIENTIFIC: Final = re.compile(r"\d([.,]\d+)?E\+?\d+", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Person:
    """A row without problems. None in `phone`, `employment_form`, `joined_on` and `organisation_code`: not said."""

    name: str
    document_type: DocumentType
    number: str
    phone: str | None
    gender: Gender
    birth_date: date | None
    employment_form: EmploymentForm | None
    organisation_code: str | None
    joined_on: date | None


@dataclass(slots=True)
class RowChecker:
    """Checks rows under one header. `today` is the day in China; `warnings` counts over the file."""

    header: Header
    today: date
    warnings: Counter[str] = field(default_factory=Counter)
    _at: dict[Column, int] = field(init=False)
    _width: int = field(init=False)

    def __post_init__(self) -> None:
        """Columns that the file has not are looked for behind the last cell, where `check` puts a blank one."""
        self._at = {column: self.header.positions.get(column, -1) for column in Column}
        self._width = max(self.header.positions.values(), default=-1) + 1

    def check(self, cells: Sequence[Cell]) -> Person | list[CellProblem]:
        """The person of this row, or everything that is wrong with it."""
        problems: list[CellProblem] = []
        cells = [*cells, *[""] * max(1, self._width + 1 - len(cells))]
        name = self._name(cells, problems)
        kind, checked = self._document(cells, problems)
        phone = self._phone(cells, problems)
        gender = self._one_of(cells, Column.GENDER, GENDERS, "roster-gender-unknown", problems)
        born = self._date(cells, Column.BIRTH_DATE, problems)
        form = self._one_of(
            cells, Column.EMPLOYMENT_FORM, EMPLOYMENT_FORMS, "roster-employment-form-unknown", problems
        )
        joined = self._date(cells, Column.JOINED_ON, problems)
        code = self._code(cells, problems)
        if checked is not None:
            self._unsaid(cells, checked, problems)
            _agree(checked, gender, born, problems)
            born = checked.birth_date or born
            if born is not None and (too_young := birth_problem(born, self.today)):
                problems.append(CellProblem(_born_in(checked), too_young, "", {"age": MINIMUM_AGE}))
        if joined is not None and born is not None and joined <= born:
            problems.append(CellProblem(Column.JOINED_ON, "roster-date-impossible", joined.isoformat()))
        if problems or name is None or checked is None:
            return problems
        if checked.warnings:
            self.warnings.update(checked.warnings)
        known = checked.gender or gender or Gender.UNKNOWN
        return Person(name, kind, checked.number, phone, known, born, form, code, joined)

    def _cell(self, cells: Sequence[Cell], column: Column) -> Cell:
        return cells[self._at[column]]

    def _text(self, cells: Sequence[Cell], column: Column, problems: list[CellProblem]) -> str:
        cell = self._cell(cells, column)
        if cell == "":
            return ""
        text = plain_cell(cell)
        if len(text) <= _MAX_TEXT:
            return text
        problems.append(CellProblem(column, "roster-value-too-long", "", {"limit": _MAX_TEXT}))
        return ""

    def _name(self, cells: Sequence[Cell], problems: list[CellProblem]) -> str | None:
        text = self._text(cells, Column.NAME, problems)
        name = names.normalise(text) if text else None
        if name is None and not problems:
            problems.append(CellProblem(Column.NAME, "name-invalid" if text else "roster-required"))
        return name

    def _document(
        self, cells: Sequence[Cell], problems: list[CellProblem]
    ) -> tuple[DocumentType, documents.Checked | None]:
        kind = self._one_of(
            cells, Column.DOCUMENT_TYPE, DOCUMENT_TYPES, "roster-document-type-unknown", problems
        )
        unknown_kind = kind is None and plain_cell(self._cell(cells, Column.DOCUMENT_TYPE)) != ""
        kind = kind or DocumentType.RESIDENT_ID
        cell = self._cell(cells, Column.DOCUMENT_NUMBER)
        if (cell != "" and not isinstance(cell, str)) or (
            isinstance(cell, str) and not cell.isdigit() and _SCIENTIFIC.fullmatch(cell.strip())
        ):
            problems.append(CellProblem(Column.DOCUMENT_NUMBER, "roster-document-is-number"))
            return kind, None
        if unknown_kind:
            return kind, None
        number = self._text(cells, Column.DOCUMENT_NUMBER, problems)
        if not number:
            problems.append(CellProblem(Column.DOCUMENT_NUMBER, "roster-required"))
            return kind, None
        checked = documents.check(kind, number, self.today)
        if checked.problem is None:
            return kind, checked
        problems.append(CellProblem(Column.DOCUMENT_NUMBER, checked.problem, mask_document(checked.number)))
        return kind, None

    def organisation_code(self, cells: Sequence[Cell]) -> str | None:
        """The code in a row with problems, so that a wrong one can be told of in the same check."""
        return self._code([*cells, *[""] * max(1, self._width + 1 - len(cells))], [])

    def _unsaid(self, cells: Sequence[Cell], checked: documents.Checked, problems: list[CellProblem]) -> None:
        """Gender and birth date that neither the document says nor the row."""
        for column, said in ((Column.GENDER, checked.gender), (Column.BIRTH_DATE, checked.birth_date)):
            if said is None and not plain_cell(self._cell(cells, column)):
                problems.append(CellProblem(column, "roster-document-says-not"))

    def _phone(self, cells: Sequence[Cell], problems: list[CellProblem]) -> str | None:
        text = self._text(cells, Column.PHONE, problems)
        if not text:
            return None
        phone = phones.normalise(text)
        if phone is None:
            problems.append(CellProblem(Column.PHONE, "phone-invalid", mask_phone(text)))
        return phone

    def _code(self, cells: Sequence[Cell], problems: list[CellProblem]) -> str | None:
        return self._text(cells, Column.ORGANISATION, problems).upper() or None

    def _date(self, cells: Sequence[Cell], column: Column, problems: list[CellProblem]) -> date | None:
        cell = self._cell(cells, column)
        if cell == "":
            return None
        try:
            found = date_of(cell)
        except (ValueError, OverflowError):
            problems.append(CellProblem(column, "roster-date-invalid", _no_number(plain_cell(cell)[:20])))
            return None
        if found is not None and not _EARLIEST <= found <= self.today:
            problems.append(CellProblem(column, "roster-date-impossible", found.isoformat()))
            return None
        return found

    def _one_of(
        self,
        cells: Sequence[Cell],
        column: Column,
        words: dict[str, Word],
        code: str,
        problems: list[CellProblem],
    ) -> Word | None:
        cell = self._cell(cells, column)
        if cell == "":
            return None
        if isinstance(cell, str) and (as_listed := words.get(cell)) is not None:
            return as_listed
        text = plain_cell(cell)
        if not text:
            return None
        found = words.get(text) or words.get(text.lower())
        if found is None:
            # Only what could be a word of the list is shown: the cell may hold anything, a number of a document too.
            shown = text if len(text) <= 12 and not any(character.isdigit() for character in text) else ""
            problems.append(CellProblem(column, code, shown))
        return found


def _no_number(text: str) -> str:
    """`text`, or nothing when it has more digits than a date, or digits behind a letter: a number may have slipped a column."""
    digits = sum(character.isdigit() for character in text.partition(":")[0])
    return text if digits <= _DATE_DIGITS and not _LETTER_AND_DIGIT.search(text) else ""


def _born_in(checked: documents.Checked) -> Column:
    return Column.DOCUMENT_NUMBER if checked.birth_date else Column.BIRTH_DATE


def _agree(
    checked: documents.Checked, gender: Gender | None, born: date | None, problems: list[CellProblem]
) -> None:
    """A gender or birth date beside a number that says them must say the same."""
    if checked.gender and gender not in (None, Gender.UNKNOWN, checked.gender):
        problems.append(CellProblem(Column.GENDER, "gender-differs"))
    if checked.birth_date and born not in (None, checked.birth_date):
        problems.append(CellProblem(Column.BIRTH_DATE, "birth-date-differs"))
