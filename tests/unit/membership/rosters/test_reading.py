"""What can be read, and what is refused before it can do harm."""

import io
import zipfile
from datetime import date, datetime, time

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from membership_service.rosters import text_files
from membership_service.rosters.columns import HEADER_WITHIN, Cell, Column, date_of, plain, recognise
from membership_service.rosters.domain import MAX_ROWS, MAX_WORKBOOK_ROWS, FileRefused, Format
from membership_service.rosters.reading import read_roster
from tests.support.rosters import HEADINGS, comma_separated, row_of, workbook

MACRO_TYPES = b'<Types><Default ContentType="application/vnd.ms-excel.sheet.macroEnabled.main+xml"/></Types>'


def read(raw: bytes) -> tuple[Format, list[tuple[int, list[Cell]]]]:
    found, _, rows = read_roster(io.BytesIO(raw))
    return found, [(number, list(cells)) for number, cells in rows]


def refusal(raw: bytes) -> str:
    with pytest.raises(FileRefused) as refused:
        read(raw)
    return refused.value.code


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_text_files_of_every_encoding_and_delimiter_say_the_same(encoding: str, delimiter: str) -> None:
    rows: list[list[Cell]] = [HEADINGS, row_of(姓名="欧阳·㛃"), row_of(姓名="李四", 备注="含,逗号;和\t制表")]
    found, read_rows = read(comma_separated(rows, encoding=encoding, delimiter=delimiter))
    assert found is Format.TEXT
    assert [(number, cells[0]) for number, cells in read_rows] == [(2, "欧阳·㛃"), (3, "李四")]


def test_gb18030_that_begins_after_much_ascii_is_still_recognised() -> None:
    english: list[Cell] = ["Name", "Document number", "Note"]
    smith: list[Cell] = ["Smith", "E1234567", "x" * 100]
    rows: list[list[Cell]] = [english, *([smith] * 5000), ["王五", "E7654321", ""]]
    assert read(comma_separated(rows, encoding="gb18030"))[1][-1] == (5002, ["王五", "E7654321", ""])


def test_a_character_cut_by_the_buffer_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = comma_separated([HEADINGS, *([row_of(姓名="王晓明")] * 50)])
    for piece in range(1, 40):
        monkeypatch.setattr(text_files, "_PIECE", piece)
        assert [cells[0] for _, cells in read(raw)[1]] == ["王晓明"] * 50


def test_line_ends_of_all_systems() -> None:
    raw = comma_separated([HEADINGS, row_of(), row_of()])
    assert len(read(raw.replace(b"\r\n", b"\n"))[1]) == len(read(raw.replace(b"\r\n", b"\r"))[1]) == 2


def test_a_workbook_keeps_numbers_dates_and_the_numbers_of_its_rows() -> None:
    rows: list[list[Cell]] = [
        ["某某工会名册"],
        HEADINGS,
        row_of(证件号码=110101199003071234),
        [],
        row_of(入会日期=datetime.combine(date(2024, 5, 6), time())),
    ]
    found, read_rows = read(workbook(rows))
    assert found is Format.WORKBOOK
    assert [number for number, _ in read_rows] == [3, 5]
    assert isinstance(read_rows[0][1][2], int | float)
    assert read_rows[1][1][8] == date(2024, 5, 6)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "roster-file-empty"),
        (b"\n\n  \n", "roster-file-empty"),
        (workbook([]), "roster-file-empty"),
        (b"hello,world\n1,2\n", "roster-header-missing"),
        (workbook([["a", "b"], [1, 2]]), "roster-header-missing"),
        (comma_separated([["姓名", "手机号"], ["王五", "1"]]), "roster-column-missing"),
        (comma_separated([["姓名", "证件号码", "身份证号"]]), "roster-column-twice"),
        (comma_separated([[*HEADINGS, *["x"] * 1_000]]), "roster-too-many-columns"),
        (b"," * 1_000_000, "roster-row-unreadable"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "roster-file-type"),
        (b"%PDF-1.7 ...", "roster-file-type"),
        ("姓名,证件号码\n王五,1\n".encode("utf-16"), "roster-encoding-unknown"),
        ("姓名,证件号码\n".encode() + b"\xff\xff\xff,1\n", "roster-encoding-unknown"),
        (b"PK\x03\x04 not an archive", "roster-file-unreadable"),
        (workbook([HEADINGS, row_of()], merge=(1, 0, 3, 0)), "roster-merged-cells"),
        (workbook([[*HEADINGS, *["x"] * 300]]), "roster-too-many-columns"),
    ],
)
def test_what_cannot_be_a_roster_is_refused(raw: bytes, code: str) -> None:
    assert refusal(raw) == code


def one_row_at(line: int) -> bytes:
    """A workbook with one person, in this line."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for position, heading in enumerate(HEADINGS):
            sheet.write(0, position, heading)
        for position, cell in enumerate(row_of()):
            sheet.write(line - 1, position, cell)
    return out.getvalue()


def test_a_workbook_holds_a_hundred_thousand_rows_and_no_more() -> None:
    last = MAX_WORKBOOK_ROWS + 1
    assert [number for number, _ in read(one_row_at(last))[1]] == [last] == [100_001]
    with pytest.raises(FileRefused) as refused:
        read(one_row_at(last + HEADER_WITHIN + 1))
    assert (refused.value.code, refused.value.params) == (
        "roster-workbook-too-many-rows",
        {"limit": 100_000},
    )


def test_a_text_file_holds_so_many_rows_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_ROWS == 2_000_000
    monkeypatch.setattr(text_files, "MAX_ROWS", 3)
    assert len(read(comma_separated([HEADINGS, *([row_of()] * 3)]))[1]) == 3
    with pytest.raises(FileRefused) as refused:
        read(comma_separated([HEADINGS, *([row_of()] * 4)]))
    assert (refused.value.code, refused.value.params) == ("roster-too-many-rows", {"limit": 3})


def test_a_merged_title_above_the_header_does_no_harm() -> None:
    rows: list[list[Cell]] = [["", ""], HEADINGS, row_of()]
    assert len(read(workbook(rows, merge=(0, 0, 0, 5)))[1]) == 1


def changed(raw: bytes, **entries: bytes) -> bytes:
    """The workbook with entries added or replaced (`__` in a keyword stands for `/`, the value is the content)."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = {name.replace("__", "/"): content for name, content in entries.items()}
        for entry in old.infolist():
            if entry.filename not in names:
                new.writestr(entry, old.read(entry))
        for name, content in names.items():
            new.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ({"xl__vbaProject.bin": b"x"}, "roster-file-macros"),
        ({"[Content_Types].xml": MACRO_TYPES}, "roster-file-macros"),
        ({"xl__embeddings__a.xlsx": b"x"}, "roster-file-suspicious"),
        ({"inner.zip": b"PK\x03\x04"}, "roster-file-suspicious"),
        ({"..__..__etc__passwd": b"x"}, "roster-file-suspicious"),
        ({"xl__sharedStrings.xml": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><sst/>'}, "roster-file-suspicious"),
        ({"xl__media__a.xml": bytes(64 * 1024 * 1024)}, "roster-file-suspicious"),
        ({f"xl__media__{n}.xml": b"" for n in range(600)}, "roster-file-suspicious"),
    ],
)  # fmt: skip
def test_workbooks_that_could_harm_are_refused(entries: dict[str, bytes], code: str) -> None:
    honest = workbook([HEADINGS, row_of()])
    assert len(read(changed(honest))[1]) == 1
    assert refusal(changed(honest, **entries)) == code


def test_another_archive_is_no_workbook() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    assert refusal(out.getvalue()) == "roster-file-type"


def test_headings_in_any_order_and_either_language() -> None:
    header = recognise(1, ["*身份证号码", "Name", "姓名拼音", "Mobile phone\n手机号", "备注", "extra"])
    assert header is not None
    assert header.positions == {Column.DOCUMENT_NUMBER: 0, Column.NAME: 1, Column.PHONE: 3}


@given(st.dates(date(1900, 3, 1), date(2099, 12, 31)))
def test_every_way_to_write_a_date_gives_the_date(day: date) -> None:
    serial = (day - date(1899, 12, 30)).days
    ways: list[Cell] = [
        day, datetime.combine(day, time()), serial, float(serial), day.isoformat(), f"{day:%Y%m%d}",
        f"{day.year}/{day.month}/{day.day}", f"{day.year}年{day.month}月{day.day}日", f" {day.isoformat()} 00:00:00",
    ]  # fmt: skip
    assert {date_of(way) for way in ways} == {day}


def test_full_width_and_invisible_characters_are_cleaned() -> None:
    assert plain("\ufeff１１０１０１１９９００３０７１２３ｘ\u3000\u200b") == "11010119900307123x"
    assert plain("㛃") == "㛃"
