from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from membership_service.organisations.sheet import SheetRefused, SheetRow, parse
from membership_service.organisations.tree_import import NewUnit, arrange, read_units
from shared.contracts.membership import OrganisationKind
from shared.kernel.errors import Invalid

TODAY = date(2026, 3, 16)


def unit(number: int, code: str, parent_code: str | None = None) -> NewUnit:
    return NewUnit(number, code, code, OrganisationKind.JOINT, parent_code, TODAY)


def codes(refused: pytest.ExceptionInfo[Invalid]) -> list[tuple[str, str]]:
    return [(problem.path, problem.code) for problem in refused.value.problems]


def test_a_row_is_read_in_either_language() -> None:
    rows = [SheetRow(2, "a-1", "甲", "县级", "", "2026/01/31"), SheetRow(3, "B", "乙", "joint", "a-1")]
    assert read_units(rows, TODAY) == [
        NewUnit(2, "A-1", "甲", OrganisationKind.COUNTY, None, date(2026, 1, 31)),
        NewUnit(3, "B", "乙", OrganisationKind.JOINT, "A-1", TODAY),
    ]


def test_every_fault_of_every_row_is_named() -> None:
    rows = [SheetRow(2, "a b", "", "公司", "上级", "去年"), SheetRow(3, "B", "乙", "县级")]
    with pytest.raises(Invalid) as refused:
        read_units(rows, TODAY)
    assert codes(refused) == [
        ("rows/2/code", "sheet-code-malformed"),
        ("rows/2/name", "sheet-name-malformed"),
        ("rows/2/kind", "sheet-kind-unknown"),
        ("rows/2/parent_code", "sheet-code-malformed"),
        ("rows/2/founded_on", "sheet-date-malformed"),
    ]


def test_a_code_twice_an_unknown_parent_and_a_circle_are_refused() -> None:
    with pytest.raises(Invalid) as refused:
        arrange([unit(2, "A"), unit(3, "A"), unit(4, "B", "X")], known=())
    assert codes(refused) == [
        ("rows/3/code", "sheet-code-twice"),
        ("rows/4/parent_code", "sheet-parent-unknown"),
    ]
    with pytest.raises(Invalid) as circle:
        arrange([unit(2, "A", "B"), unit(3, "B", "A"), unit(4, "C", "C")], known=())
    assert codes(circle) == [
        ("rows/2/parent_code", "sheet-parent-circle"),
        ("rows/4/parent_code", "sheet-parent-circle"),
    ]
    assert arrange([unit(2, "B", "X")], known={"X"}) == [unit(2, "B", "X")]


@given(st.integers(1, 40).flatmap(lambda size: st.tuples(st.permutations(range(size)), st.randoms())))
def test_parents_come_before_children_whatever_the_order_of_rows(
    drawn: tuple[list[int], Random],
) -> None:
    order, random = drawn
    parents = {number: random.randrange(number) if number else None for number in range(len(order))}
    rows = [unit(n, f"U{n}", None if parents[n] is None else f"U{parents[n]}") for n in order]
    arranged = arrange(rows, known=())
    seen: set[str] = set()
    for row in arranged:
        assert row.parent_code is None or row.parent_code in seen
        seen.add(row.code)
    assert len(arranged) == len(rows)


def test_a_csv_is_read_in_utf8_and_gb18030_after_a_title_line() -> None:
    text = "示例省工会组织\n编码,名称,类型,上级编码,成立日期,备注\nA,甲,县级,,2026-01-31,x\n\nB,乙,联合,A,,\n"
    expected = [
        {
            "number": 3,
            "code": "A",
            "name": "甲",
            "kind": "县级",
            "parent_code": "",
            "founded_on": "2026-01-31",
        },
        {"number": 5, "code": "B", "name": "乙", "kind": "联合", "parent_code": "A", "founded_on": ""},
    ]
    for encoding in ("utf-8", "utf-8-sig", "gb18030"):
        assert parse(text.encode(encoding)) == expected


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "sheet-header-missing"),
        ("编码,名称\nA,甲\n".encode(), "sheet-header-missing"),
        ("编码,名称,类型\n".encode(), "sheet-empty"),
        (b"PK\x03\x04 not a zip", "sheet-unreadable"),
        (b"\xff\xfe\xff\xff\x81", "sheet-unreadable"),
    ],
)
def test_a_file_that_is_no_sheet_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(SheetRefused, match=code):
        parse(content)
