"""Made-up people by the million, under an unassigned region code; the same serial is always the same person."""

import csv
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from membership_service.members.documents import check_digit

_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅建国志文海燕"
_FIRST_BIRTHDAY = date(1965, 1, 1)
HEADINGS = ("姓名", "证件号码", "手机号", "用工形式", "工会组织编码")


def document(serial: int) -> str:
    """A valid resident ID number of nobody."""
    born = _FIRST_BIRTHDAY + timedelta(days=serial // 1000)
    first = f"990000{born:%Y%m%d}{serial % 1000:03d}"
    return first + check_digit(first)


def phone(serial: int) -> str:
    """A mobile number of nobody in particular."""
    return f"139{serial:08d}"


def name(serial: int) -> str:
    """A name that many share, as in life: about 20,000 different ones."""
    mixed = serial * 2_654_435_761 >> 7
    surname = _SURNAMES[mixed % len(_SURNAMES)]
    return surname + _GIVEN[mixed // 20 % len(_GIVEN)] + _GIVEN[mixed // 700 % len(_GIVEN)]


def write_roster(
    path: Path, rows: int, codes: Sequence[str], first_code: str = "", first_rows: int = 0
) -> None:
    """A `.csv` of `rows` people: the first of them in the unit `first_code`, the others in turn in the units `codes`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        for serial in range(rows):
            code = first_code if serial < first_rows else codes[serial % len(codes)]
            writer.writerow((name(serial), document(serial), phone(serial), "劳动合同", code))
