"""What protects people from a roster, and the service from a file."""

import asyncio
import io
import re
import zipfile
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import driver
from tests.integration.membership.rosters.conftest import Registry, somebody
from tests.support.rosters import HEADINGS, resident_id, row_of, workbook


@pytest.mark.parametrize("table", ["roster_imports", "roster_file_pieces", "roster_problems"])
async def test_the_database_alone_keeps_imports_apart(registry: Registry, table: str) -> None:
    checked = await registry.upload_rows(somebody(姓名=""))
    own = (
        await registry.federation.rows("SELECT path FROM roster_imports WHERE id = $1", UUID(checked["id"]))
    )[0]["path"]
    other = await registry.federation.unit()
    sql = "SELECT path FROM organisations WHERE id = $1"
    elsewhere = (await registry.federation.rows(sql, UUID(other["id"])))[0]["path"]
    database = Database(registry.federation.urls.app, pool_size=1, application_name="test-scope")
    try:
        for scope, expected in (
            (Scope((own,)), 1),
            (Scope((elsewhere,)), 0),
            (Scope.nothing(), 0),
            (Scope.everything(), 0),
        ):
            async with database.write(scope) as session:
                seen = await (await driver(session)).fetchval(f"SELECT count(*) FROM {table}")
                assert seen == expected, scope
    finally:
        await database.close()


async def test_the_application_may_not_read_staged_rows(registry: Registry) -> None:
    connection = await asyncpg.connect(registry.federation.urls.app)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM roster_rows")
    finally:
        await connection.close()


async def test_a_workbook_that_wants_all_memory_ends_the_child_and_is_refused(registry: Registry) -> None:
    honest = workbook([HEADINGS, row_of()])
    spread = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(honest)) as old,
        zipfile.ZipFile(spread, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == "xl/worksheets/sheet1.xml":
                # One cell in the last corner: seventeen thousand million cells for whoever makes a table of it.
                corner = b'<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row></sheetData>'
                content = re.sub(rb'<dimension ref="[^"]*"/>', b'<dimension ref="A1:XFD1048576"/>', content)
                content = content.replace(b"</sheetData>", corner)
            new.writestr(entry, content)
    refused = await registry.upload(spread.getvalue(), name="a.xlsx")
    assert refused["state"] == "refused"
    assert refused["refusal"]["code"] in {"roster-file-suspicious", "roster-workbook-too-many-rows"}


async def test_a_mistyped_unit_is_shown_and_a_number_in_its_place_is_not(registry: Registry) -> None:
    mistyped = ["110203", "110203045", "1102030456", "NOBODY-12345678", "91990000MA0000001X", "城北工会"]
    numbers = [
        resident_id(), "13800000001", "138 0000-0001", "+86 138 0000 0001", "6222 0200 0000 0000 000",
        "990000900307001", "E12345678", "ea1234567", "H1234567800", "1234567890(A)", "CHN110105900307",
        "军字第12345678号", "王小明 E12345678",
    ]  # fmt: skip
    checked = await registry.upload_rows(*(somebody(工会组织编码=cell) for cell in (*mistyped, *numbers)))
    shown = [row["problems"][0] for row in await registry.problems(checked)]
    assert {one["code"] for one in shown} == {"roster-organisation-unknown"}
    assert [one["value"] for one in shown] == [*mistyped, *[""] * len(numbers)]
    sql = "SELECT organisation_code FROM roster_rows WHERE import_id = $1 ORDER BY row_number"
    kept = await registry.federation.rows(sql, UUID(checked["id"]))
    assert [row["organisation_code"] for row in kept] == [*mistyped, *[None] * len(numbers)]


async def test_a_step_takes_the_version_that_was_read_and_of_two_at_once_one(registry: Registry) -> None:
    checked = await registry.upload_rows(somebody())
    path, version = f"/{checked['id']}/apply", checked["version"]
    await registry.call("POST", path, json={}, expect=428)
    await registry.call("POST", path, version=version - 1, json={}, expect=412)
    other = await registry.federation.user("registrar", registry.unit["id"])
    url = f"/api/v1/rosters{path}"
    replies = await asyncio.gather(
        *(
            registry.federation.client.post(
                url,
                json={},
                headers=registry.federation.issuer.headers(by)
                | {"If-Match": f'"{version}"', "Idempotency-Key": str(uuid4())},
            )
            for by in (registry.registrar, other)
        )
    )
    assert sorted(reply.status_code for reply in replies) == [202, 412]
    (taken,) = (reply for reply in replies if reply.is_success)
    assert taken.headers["ETag"] == f'"{version + 1}"'
    sql = "SELECT FROM jobs WHERE kind = 'roster.apply' AND payload ->> 'import_id' = $1"
    assert len(await registry.federation.rows(sql, checked["id"])) == 1
    await registry.work()
    # Who saw it being applied does not undo what has been applied meanwhile.
    reason = {"reason": "上传错了"}
    await registry.call("POST", f"/{checked['id']}/undo", version=version + 1, json=reason, expect=412)
    assert (await registry.undo(checked))["undone"] == 1
