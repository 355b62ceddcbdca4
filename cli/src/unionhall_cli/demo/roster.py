"""The files of the demo: the roster with its spoilt rows, and the sheet of units. Same seed and day, same bytes."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Final

import xlsxwriter

from unionhall_cli.demo import spoiling
from unionhall_cli.demo.people import Human, human, people, resident_id
from unionhall_cli.demo.places import TOP_CODE, Scale, Unit
from unionhall_cli.demo.spoiling import Cell, Cells

HEADINGS: Final = (
    "姓名", "证件类型", "证件号码", "手机号", "性别", "出生日期", "用工形式", "工会组织编码", "入会日期", "备注"
)  # fmt: skip
_WIDTHS: Final = (12, 24, 24, 16, 6, 12, 12, 16, 12, 20)
_FULL_WIDTH: Final = str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the roster. `fault` names what is wrong with it (`spoiling.WAYS`, `OF_PEOPLE`); empty for a good row."""

    cells: Cells
    fault: str = ""


def rows(scale: Scale, unions: Sequence[Unit], seed: int, on: date) -> Iterator[Row]:
    """The roster: all members, and among them rows that the import must refuse, evenly scattered."""
    rng = Random(f"{seed}-{scale.name}-rows")  # noqa: S311 - made-up data
    spoilt = list(_spoilt(scale, unions, rng, on))
    rng.shuffle(spoilt)
    every = max(1, scale.members // len(spoilt))
    for position, person in enumerate(people(scale, unions, seed, on)):
        if position % every == every // 2 and spoilt:
            yield spoilt.pop()
        yield Row(_written(person, rng))
    yield from spoilt


def write(path: Path, content: Iterable[Row]) -> None:
    """Write a roster; the ending of `path` says as what."""
    if path.suffix == ".csv":
        _write_text(path, content)
    else:
        _write_workbook(path, content)


def units_sheet(units: Sequence[Unit]) -> bytes:
    """The units as the sheet that an administrator imports. Those directly below the top name no parent."""
    out = io.StringIO()
    sheet = csv.writer(out)
    sheet.writerow(("编码", "名称", "类型", "上级编码", "成立日期"))
    for unit in units:
        parent = "" if unit.parent_code == TOP_CODE else unit.parent_code
        sheet.writerow((unit.code, unit.name, unit.kind, parent, unit.founded_on.isoformat()))
    return out.getvalue().encode("utf-8-sig")


def _cells(person: Human) -> Cells:
    return {
        "姓名": person.name,
        "证件类型": person.document_type,
        "证件号码": person.number,
        "手机号": person.phone,
        "性别": person.gender,
        "出生日期": person.born,
        "用工形式": person.form,
        "工会组织编码": person.unit.code,
        "入会日期": person.joined_on,
        "备注": "",
    }


def _written(person: Human, rng: Random) -> Cells:
    """As different hands write: most leave out what the number says, some type full-width digits, blanks or a small x."""
    cells = _cells(person)
    draw = rng.random()
    number = person.number
    if draw < 0.55 and person.document_type == "居民身份证":
        cells["性别"] = cells["出生日期"] = ""
    if draw < 0.01:
        cells["证件号码"] = number.translate(_FULL_WIDTH)
    elif draw < 0.02:
        cells["证件号码"] = f"{number[:6]} {number[6:14]} {number[14:]}"
    elif draw < 0.05:
        cells["证件号码"] = number.lower()
    elif draw < 0.07:
        cells["入会日期"] = f"{person.joined_on:%Y年%m月%d日}"
    elif draw < 0.09:
        cells["姓名"] = f" {person.name}　"
    return cells


def _spoilt(scale: Scale, unions: Sequence[Unit], rng: Random, on: date) -> Iterator[Row]:
    """Rows of people who are in no good row."""
    twin: Cells | None = None
    for number, kind in enumerate(spoiling.kinds(scale.spoilt_rows)):
        person = human(rng, scale, scale.members + number, rng.choice(unions), "劳动合同", on)
        while person.document_type != "居民身份证":
            person = human(rng, scale, scale.members + number, rng.choice(unions), "劳动合同", on)
        cells = _cells(person)
        if kind == "twice":
            yield Row(twin or cells, kind)
            twin = None if twin else cells
        elif kind == "too-young":
            yield Row(_too_young(cells, scale, number, on), kind)
        else:
            yield Row(cells | spoiling.WAYS[kind][1](cells, rng, on), kind)


def _too_young(cells: Cells, scale: Scale, number: int, on: date) -> Cells:
    born = date(on.year - 12, 3, 1)
    document = resident_id(scale.region, born, number % 1000)
    return cells | {"证件号码": document, "性别": "", "出生日期": born, "入会日期": on}


def _write_text(path: Path, content: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(HEADINGS)
        sheet.writerows([_as_text(row.cells[heading]) for heading in HEADINGS] for row in content)


def _as_text(cell: Cell) -> str:
    # What a spreadsheet program writes for a long number that it took for a quantity.
    return f"{cell:.5E}" if isinstance(cell, int) else str(cell)


def _write_workbook(path: Path, content: Iterable[Row]) -> None:
    with xlsxwriter.Workbook(path, {"constant_memory": True, "default_date_format": "yyyy-mm-dd"}) as book:
        # Otherwise the file would hold the moment at which it was written.
        book.set_properties({"title": "示例省总工会会员名册", "created": datetime(2026, 1, 1, tzinfo=UTC)})
        sheet = book.add_worksheet("会员名册")
        as_text = book.add_format({"num_format": "@"})
        as_date = book.add_format({"num_format": "yyyy-mm-dd"})
        heading = book.add_format({"bold": True, "bg_color": "#E2E8F0"})
        for position, (name, width) in enumerate(zip(HEADINGS, _WIDTHS, strict=True)):
            sheet.set_column(position, position, width, as_date if name.endswith("日期") else as_text)
            sheet.write_string(0, position, name, heading)
        sheet.freeze_panes(1, 1)
        for line, row in enumerate(content, 1):
            for position, name in enumerate(HEADINGS):
                match row.cells[name]:
                    case "":
                        pass
                    case str(text):
                        sheet.write_string(line, position, text, as_text)
                    case int(number):
                        sheet.write_number(line, position, number)
                    case day:
                        sheet.write_datetime(line, position, day, as_date)
