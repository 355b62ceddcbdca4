"""Every kind of wrong row is named by column and reason; what can be mended is mended."""

from datetime import date

import pytest

from membership_service.members.documents import DocumentType
from membership_service.rosters.checking import Person, RowChecker
from membership_service.rosters.columns import Cell, Column, recognise
from membership_service.rosters.domain import CellProblem
from shared.contracts.membership import EmploymentForm, Gender
from tests.support.rosters import HEADINGS, TODAY, resident_id, row_of


def check(**cells: Cell) -> Person | list[CellProblem]:
    header = recognise(1, HEADINGS)
    assert header is not None
    return RowChecker(header, TODAY).check(row_of(**cells))


def codes(**cells: Cell) -> set[tuple[str, str]]:
    problems = check(**cells)
    assert isinstance(problems, list)
    return {(problem.column, problem.code) for problem in problems}


def test_a_good_row() -> None:
    assert check(工会组织编码="SL-01", 入会日期="2024-05-06") == Person(
        name="王小明",
        document_type=DocumentType.RESIDENT_ID,
        number=resident_id(),
        phone="13800000001",
        gender=Gender.MALE,
        birth_date=date(1990, 3, 7),
        employment_form=EmploymentForm.CONTRACT,
        organisation_code="SL-01",
        joined_on=date(2024, 5, 6),
    )


def test_what_can_be_mended_is_mended() -> None:
    number = next(resident_id(serial) for serial in range(1, 99) if resident_id(serial).endswith("X"))
    wide = number.lower().translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})
    mended = check(证件号码=f"\u3000{wide}\u200b ", 手机号=13800000001.0, 姓名=" 王 小明\u3000", 性别="男 ")
    assert isinstance(mended, Person)
    assert (mended.number, mended.phone, mended.name) == (number, "13800000001", "王小明")


@pytest.mark.parametrize(
    ("cells", "column", "code"),
    [
        ({"姓名": ""}, Column.NAME, "roster-required"),
        ({"姓名": "王小明2"}, Column.NAME, "name-invalid"),
        ({"姓名": "=1+1"}, Column.NAME, "name-invalid"),
        ({"姓名": "-张三"}, Column.NAME, "name-invalid"),
        ({"姓名": "王" * 100}, Column.NAME, "roster-value-too-long"),
        ({"证件类型": "会员卡"}, Column.DOCUMENT_TYPE, "roster-document-type-unknown"),
        ({"证件号码": ""}, Column.DOCUMENT_NUMBER, "roster-required"),
        ({"证件号码": 110101199003071200}, Column.DOCUMENT_NUMBER, "roster-document-is-number"),
        ({"证件号码": 1.1010119900307e17}, Column.DOCUMENT_NUMBER, "roster-document-is-number"),
        ({"证件号码": "1.10101E+17"}, Column.DOCUMENT_NUMBER, "roster-document-is-number"),
        ({"证件号码": resident_id()[:-1]}, Column.DOCUMENT_NUMBER, "document-length"),
        ({"证件号码": "990000199003070011"}, Column.DOCUMENT_NUMBER, "document-checksum"),
        ({"证件号码": resident_id(born="19901340")}, Column.DOCUMENT_NUMBER, "document-birth-date"),
        ({"证件号码": resident_id(born="20150101")}, Column.DOCUMENT_NUMBER, "person-too-young"),
        ({"证件类型": "护照", "证件号码": "!!"}, Column.DOCUMENT_NUMBER, "document-format"),
        ({"手机号": "1380000"}, Column.PHONE, "phone-invalid"),
        ({"性别": "女"}, Column.GENDER, "gender-differs"),
        ({"性别": "帅"}, Column.GENDER, "roster-gender-unknown"),
        ({"出生日期": "1990-03-08"}, Column.BIRTH_DATE, "birth-date-differs"),
        ({"出生日期": "三月"}, Column.BIRTH_DATE, "roster-date-invalid"),
        ({"用工形式": "老板"}, Column.EMPLOYMENT_FORM, "roster-employment-form-unknown"),
        ({"入会日期": "2999-01-01"}, Column.JOINED_ON, "roster-date-impossible"),
        ({"入会日期": "1980-01-01"}, Column.JOINED_ON, "roster-date-impossible"),
        ({"入会日期": "2024-02-30"}, Column.JOINED_ON, "roster-date-invalid"),
    ],
)  # fmt: skip
def test_one_wrong_cell_is_named(cells: dict[str, Cell], column: Column, code: str) -> None:
    assert codes(**cells) == {(column, code)}


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("990000199003070015", ""),
        ("13900001234", ""),
        ("E12345678", ""),
        ("三月", "三月"),
        ("2024-02-30 00:00", "2024-02-30 00:00"),
    ],
)
def test_a_number_in_a_column_of_dates_is_not_shown(cell: str, shown: str) -> None:
    problems = check(入会日期=cell)
    assert isinstance(problems, list)
    assert [problem.masked for problem in problems] == [shown]


def test_all_wrong_cells_of_a_row_are_named_at_once() -> None:
    assert len(codes(姓名="", 证件号码="123", 手机号="1", 性别="?", 入会日期="?")) == 5


def test_no_problem_shows_a_whole_number() -> None:
    number, phone = "990000199003070011", "1380000000"
    problems = check(
        证件号码=number, 手机号=phone, 性别=resident_id(2), 用工形式="13900000009", 工会组织编码="9" * 80
    )
    assert isinstance(problems, list)
    shown = " ".join(f"{problem.masked}{problem.params}" for problem in problems)
    assert "990***********0011" in shown
    assert not any(secret in shown for secret in (number, phone, resident_id(2), "13900000009"))


def test_an_unknown_region_is_a_warning_and_counted() -> None:
    header = recognise(1, HEADINGS)
    assert header is not None
    checker = RowChecker(header, TODAY)
    assert isinstance(checker.check(row_of()), Person)
    assert isinstance(checker.check(row_of(证件号码=resident_id(region="110101"))), Person)
    assert checker.warnings == {"document-region-unknown": 1}


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("护照", "E1234567"),
        ("军官证", "示字第123456号"),
        ("台胞证", "12345678"),
        ("外国人永久居留证", "ABC123456789012"),
    ],
)
def test_what_a_document_does_not_say_the_row_has_to(kind: str, number: str) -> None:
    gender, born = [(column, "roster-document-says-not") for column in (Column.GENDER, Column.BIRTH_DATE)]
    assert codes(证件类型=kind, 证件号码=number, 性别=" ") == {gender, born}
    assert codes(证件类型=kind, 证件号码=number, 性别="女") == {born}
    assert codes(证件类型=kind, 证件号码=number, 出生日期="1985-12-01") == {gender}
    assert isinstance(check(证件类型=kind, 证件号码=number, 性别="女", 出生日期="1985-12-01"), Person)


def test_the_new_residence_card_says_it_itself() -> None:
    assert isinstance(check(证件类型="外国人永久居留证", 证件号码=resident_id(region="990000")), Person)


def test_other_documents_take_birth_date_and_gender_from_the_row() -> None:
    person = check(证件类型="护照", 证件号码="e1234567", 性别="女", 出生日期="1985/12/1")
    assert isinstance(person, Person)
    assert (person.number, person.gender, person.birth_date) == ("E1234567", Gender.FEMALE, date(1985, 12, 1))
