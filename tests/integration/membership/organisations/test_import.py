"""The tree is imported from a sheet through the public route."""

import io
from typing import Any

import openpyxl
import pytest

from membership_service.organisations import api
from tests.support.membership import Federation

HEADER = ["编码", "名称", "类型", "上级编码", "成立日期"]


async def upload(
    federation: Federation, under: str, content: bytes, *, expect: int = 201, **options: Any
) -> dict[str, Any]:
    reply: dict[str, Any] = await federation.call(
        "POST",
        "/organisations/imports",
        files={"file": ("tree", content)},
        data={"under": under},
        expect=expect,
        **options,
    )
    return reply


def sheet(*rows: list[Any]) -> bytes:
    workbook = openpyxl.Workbook()
    for row in (HEADER, *rows):
        workbook.worksheets[0].append(row)
    stream = io.BytesIO()
    workbook.save(stream)
    return stream.getvalue()


def lines(*rows: list[str]) -> bytes:
    return "\n".join(",".join(row) for row in (HEADER, *rows)).encode()


async def test_a_tree_is_founded_whole_whatever_the_order_and_twice_changes_nothing(
    federation: Federation, unique: str
) -> None:
    county = await federation.unit()
    rows = [
        [f"{unique}-B", "乙分会", "分会", f"{unique}-A", "2026-02-01"],
        [f"{unique}-A", "甲联合工会", "联合", "", "2026-01-01"],
        [f"{unique}-C", "丙企业工会", "enterprise", county["code"], ""],
    ]
    assert await upload(federation, county["id"], sheet(*rows)) == {"created": 3, "unchanged": 0}
    below = await federation.call("GET", f"/organisations/{county['id']}/subtree")
    assert {unit["code"]: unit["name"] for unit in below["items"][1:]} == {
        f"{unique}-A".upper(): "甲联合工会",
        f"{unique}-B".upper(): "乙分会",
        f"{unique}-C".upper(): "丙企业工会",
    }
    branch = next(unit for unit in below["items"] if unit["name"] == "乙分会")
    assert await federation.events(branch["id"]) == [("organisation.created.v1", 1)]
    assert await upload(federation, county["id"], lines(*rows)) == {"created": 0, "unchanged": 3}


async def test_one_fault_and_nothing_is_founded(federation: Federation, unique: str) -> None:
    county = await federation.unit()
    other = await federation.unit()
    rows = [
        [f"{unique}-A", "甲", "联合", "", "2026-01-01"],
        [f"{unique}-B", "乙", "市级", "", "2026-01-01"],
        [f"{unique}-D", "丁", "联合", "", "2026-12-31"],
    ]
    refused = await upload(federation, county["id"], lines(*rows), expect=422, language="en")
    assert [(problem["path"], problem["code"]) for problem in refused["problems"]] == [
        ("rows/3", "organisation-kind-above-parent"),
        ("rows/4", "organisation-founded-in-future"),
    ]
    assert "2 errors" in refused["detail"]
    # A unit elsewhere is neither a parent nor one's own.
    elsewhere = [[f"{unique}-A", "甲", "联合", other["code"], ""]]
    refused = await upload(federation, county["id"], lines(*elsewhere), expect=422)
    assert refused["problems"][0]["code"] == "sheet-parent-unknown"
    taken = [[f"{unique}-A", "甲", "联合", "", ""], [other["code"], "乙", "联合", "", ""]]
    refused = await upload(federation, county["id"], lines(*taken), expect=409)
    assert refused["code"] == "organisation-code-taken"
    below = await federation.call("GET", f"/organisations/{county['id']}/subtree")
    assert len(below["items"]) == 1


async def test_a_registrar_may_not_import(federation: Federation, unique: str) -> None:
    county = await federation.unit()
    content = lines([f"{unique}-A", "甲", "联合", "", ""])
    registrar = await federation.user("registrar", county["id"])
    await upload(federation, county["id"], content, by=registrar, expect=403)
    administrator = await federation.user("administrator", county["id"])
    await upload(federation, federation.root_id, content, by=administrator, expect=404)
    await upload(federation, county["id"], content, by=administrator)


async def test_nothing_is_read_for_somebody_who_is_not_signed_in(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    monkeypatch.setattr(api, "read_sheet", read.append)
    reply = await federation.client.post(
        "/api/v1/organisations/imports",
        files={"file": ("tree", lines(["A", "甲", "联合", "", ""]))},
        data={"under": federation.root_id},
        headers={"Authorization": "Bearer nonsense", "Idempotency-Key": "import-once"},
    )
    assert (reply.status_code, read) == (401, [])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "sheet-header-missing"),
        (b"PK\x03\x04" + b"\0" * 100, "sheet-unreadable"),
        (b"\x89PNG\r\n\x1a\n\xff\xff", "sheet-unreadable"),
    ],
)
async def test_what_is_no_sheet_is_refused(federation: Federation, content: bytes, code: str) -> None:
    refused = await upload(federation, federation.root_id, content, expect=422)
    assert refused["code"] == code


async def test_a_workbook_that_grows_without_end_is_refused(federation: Federation) -> None:
    stream = io.BytesIO(sheet(["A", "甲", "联合", "", ""]))
    import zipfile

    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/filler.xml", b"\0" * (120 * 2**20))
    refused = await upload(federation, federation.root_id, stream.getvalue(), expect=422)
    assert refused["code"] == "sheet-unreadable"
