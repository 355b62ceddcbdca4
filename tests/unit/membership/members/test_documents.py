from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership_service.members import documents
from membership_service.members.documents import DocumentType
from shared.contracts.membership import Gender

TODAY = date(2026, 11, 21)


def resident(first_seventeen: str) -> str:
    return first_seventeen + documents.check_digit(first_seventeen)


def test_a_resident_id_says_birth_date_and_gender() -> None:
    checked = documents.check(DocumentType.RESIDENT_ID, "11010519491231002X", TODAY)
    assert checked == ("11010519491231002X", date(1949, 12, 31), Gender.FEMALE, (), None)


@pytest.mark.parametrize(
    "written",
    [
        "11010519491231002x",
        " 110105 19491231 002X ",
        "１１０１０５１９４９１２３１００２Ｘ",
        "\u200b11010519491231002x",
    ],
)
def test_another_way_of_writing_is_the_same_number(written: str) -> None:
    assert documents.check(DocumentType.RESIDENT_ID, written, TODAY).number == "11010519491231002X"


@pytest.mark.parametrize("region", ["810000", "820000", "830000", "110105"])
def test_a_known_region_is_no_warning(region: str) -> None:
    checked = documents.check(DocumentType.RESIDENT_ID, resident(region + "19900307001"), TODAY)
    assert (checked.problem, checked.warnings) == (None, ())


def test_an_unknown_region_is_a_warning_and_never_an_error() -> None:
    checked = documents.check(DocumentType.RESIDENT_ID, resident("99000019900307001"), TODAY)
    assert (checked.problem, checked.warnings) == (None, ("document-region-unknown",))


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ("110105194912310021", "document-checksum"),
        ("11010519491231002", "document-length"),
        ("11010519491231002Y", "document-format"),
        (resident("11010519490231002"), "document-birth-date"),
        (resident("11010520270101002"), "document-birth-date"),
        (resident("11010518991231002"), "document-birth-date"),
        ("", "document-length"),
    ],
)
def test_a_wrong_resident_id_is_named_for_its_fault(number: str, problem: str) -> None:
    assert documents.check(DocumentType.RESIDENT_ID, number, TODAY).problem == problem


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (DocumentType.HONG_KONG_MACAO_PERMIT, "H12345678", "C12345678"),
        (DocumentType.HONG_KONG_MACAO_PERMIT, "m0123456701", "M012345"),
        (DocumentType.TAIWAN_PERMIT, "01234567", "0123456"),
        (DocumentType.TAIWAN_PERMIT, "0123456789（B）", "A1234567"),
        (DocumentType.FOREIGN_PERMANENT_RESIDENCE, "FRA110080010101", "FR1100800101011"),
        (
            DocumentType.FOREIGN_PERMANENT_RESIDENCE,
            resident("91124819850101001"),
            resident("11010519850101001"),
        ),
        (DocumentType.PASSPORT, "E12345678", "E-1234"),
        (DocumentType.MILITARY, "军字第2001988号", "军字第号"),
        (DocumentType.MILITARY, "7654321", "AB7654321"),
    ],
)
def test_every_document_has_its_format(kind: DocumentType, good: str, bad: str) -> None:
    assert documents.check(kind, good, TODAY).problem is None
    assert documents.check(kind, bad, TODAY).problem is not None


@given(st.dates(date(1900, 1, 1), TODAY), st.integers(0, 999), st.integers(0, 17), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(born: date, order: int, place: int, shift: int) -> None:
    number = resident(f"110105{born:%Y%m%d}{order:03}")
    assert documents.check(DocumentType.RESIDENT_ID, number, TODAY).problem is None
    if number[place] == "X":
        return
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
    assert documents.check(DocumentType.RESIDENT_ID, wrong, TODAY).problem is not None
