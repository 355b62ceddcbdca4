"""What is wrong in the rosters of real life: each way to spoil a good row, with the code under which the import refuses it."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from random import Random
from typing import Final

Cell = str | int | date
#: Heading -> cell. A good row is complete; a way to spoil it changes one cell or two.
Cells = dict[str, Cell]
Spoil = Callable[[Cells, Random, date], Cells]


def _set(heading: str, cell: Cell) -> Spoil:
    return lambda _cells, _rng, _on: {heading: cell}


def _wrong_check_digit(cells: Cells, rng: Random, _on: date) -> Cells:
    number = str(cells["证件号码"])
    return {"证件号码": number[:17] + rng.choice([digit for digit in "0123456789" if digit != number[17]])}


def _two_digits_swapped(cells: Cells, _rng: Random, _on: date) -> Cells:
    number = str(cells["证件号码"])
    at = next(at for at in range(13, 3, -1) if number[at] != number[at + 1])
    return {"证件号码": number[:at] + number[at + 1] + number[at] + number[at + 2 :]}


def _old_number(cells: Cells, _rng: Random, _on: date) -> Cells:
    """The 15 digits of before 1999, invalid since 2013."""
    number = str(cells["证件号码"])
    return {"证件号码": number[:6] + number[8:17]}


def _stored_as_number(cells: Cells, _rng: Random, _on: date) -> Cells:
    """Spreadsheet programs keep 15 digits of a number: the last three are gone."""
    return {"证件号码": int(str(cells["证件号码"])[:15]) * 1000}


def _other_birth_date(cells: Cells, rng: Random, _on: date) -> Cells:
    born = cells["出生日期"]
    assert isinstance(born, date)  # noqa: S101 - good rows have one
    return {"出生日期": born + timedelta(days=rng.randint(1, 300))}


def _other_gender(cells: Cells, _rng: Random, _on: date) -> Cells:
    return {"性别": "女" if cells["性别"] == "男" else "男"}


def _tomorrow(_cells: Cells, _rng: Random, on: date) -> Cells:
    return {"入会日期": on + timedelta(days=400)}


def _before_birth(cells: Cells, _rng: Random, _on: date) -> Cells:
    born = cells["出生日期"]
    assert isinstance(born, date)  # noqa: S101 - good rows have one
    return {"入会日期": born - timedelta(days=90)}


#: Name of the fault -> code of the import, way to spoil. "twice" and "too-young" need a person of their own: see `rows`.
WAYS: Final[dict[str, tuple[str, Spoil]]] = {
    "check-digit": ("document-checksum", _wrong_check_digit),
    "digits-swapped": ("document-checksum", _two_digits_swapped),
    "fifteen-digits": ("document-length", _old_number),
    "stored-as-number": ("roster-document-is-number", _stored_as_number),
    "no-number": ("roster-required", _set("证件号码", "")),
    "passport-malformed": (
        "document-format",
        lambda _cells, _rng, _on: {"证件类型": "护照", "证件号码": "#ZZ-?", "性别": "", "出生日期": ""},
    ),
    "document-type": ("roster-document-type-unknown", _set("证件类型", "学生证")),
    "no-name": ("roster-required", _set("姓名", "")),
    "name-with-digits": ("name-invalid", _set("姓名", "王5明")),
    "phone": ("phone-invalid", _set("手机号", "1540000")),
    "phone-words": ("phone-invalid", _set("手机号", "同办公室电话")),
    "birth-date": ("birth-date-differs", _other_birth_date),
    "gender": ("gender-differs", _other_gender),
    "gender-word": ("roster-gender-unknown", _set("性别", "先生")),
    "form-word": ("roster-employment-form-unknown", _set("用工形式", "临时帮忙")),
    "no-such-day": ("roster-date-invalid", _set("入会日期", "2024-02-30")),
    "date-words": ("roster-date-invalid", _set("入会日期", "去年春天")),
    "joined-in-future": ("roster-date-impossible", _tomorrow),
    "joined-before-birth": ("roster-date-impossible", _before_birth),
    "unit": ("roster-organisation-unknown", _set("工会组织编码", "99-X404")),
    "too-long": ("roster-value-too-long", _set("手机号", "1" * 80)),
}
#: Faults that lie in the person or in two rows.
OF_PEOPLE: Final = {"too-young": "person-too-young", "twice": "roster-duplicate-rows"}


def kinds(count: int) -> Iterator[str]:
    """`count` names of faults, each kind about as often as the others; "twice" comes in pairs."""
    singles = [*WAYS, "too-young"]
    pairs = max(1, count // (len(singles) + 1) // 2)
    for number in range(count - 2 * pairs):
        yield singles[number % len(singles)]
    for _ in range(pairs):
        yield from ("twice", "twice")
