"""The demo as a new user meets it: load, correct the error workbook, see the views follow, undo, kill, verify."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest

from shared.testing import Eventually
from tests.support.command import Command
from tests.support.stack import RunningStack

pytestmark = pytest.mark.timeout(240)

MEMBERS, SPOILT = 300, 60
#: Faults that an officer mends by emptying the cell: the heading, and the words in it.
MENDED = {"性别": "先生", "用工形式": "临时帮忙", "入会日期": "去年春天", "手机号": "同办公室电话"}


async def dashboard(stack: RunningStack, unit: str) -> dict[str, Any]:
    async with stack.client("auditor") as client:
        answer = await client.get(f"/api/v1/organisations/{unit}/dashboard", params={"days": 1})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def shows(stack: RunningStack, unit: str, members: int) -> bool:
    return bool((await dashboard(stack, unit))["members"] == members)


async def unit_of(client: httpx.AsyncClient, top: str, code: str) -> dict[str, Any]:
    found = await client.post("/api/v1/organisations/search", json={"within": top, "words": code})
    assert found.status_code == 200, found.text
    return next(unit for unit in found.json()["items"] if unit["code"] == code)


async def test_the_demo_loads_once_and_then_only_says_what_is_there(
    stack: RunningStack, command: Command, demo: dict[str, Any]
) -> None:
    assert (demo["members"], demo["rejected"]) == (MEMBERS, SPOILT)
    assert demo["gateway"] == stack.status.gateway
    again = await asyncio.to_thread(command.json, "demo", "--scale", "tiny")
    assert {**again, "seconds": 0} == {**demo, "seconds": 0}
    shown = await dashboard(stack, demo["organisation"])
    assert sum(shown["by_gender"].values()) == sum(shown["by_employment_form"].values()) == MEMBERS
    async with stack.client("registrar-province") as client:
        rates = (await client.get(f"/api/v1/organisations/{demo['organisation']}/rates")).json()
    assert 0 < rates["membership"]["value"] <= 1
    assert 0 < rates["formation"]["value"] < 1


async def test_every_demo_user_has_the_post_that_the_page_names(
    stack: RunningStack, demo: dict[str, Any]
) -> None:
    for user in demo["users"]:
        async with stack.client(user["username"]) as client:
            me = (await client.get("/api/v1/me")).json()
        found = [(post["role"], post["organisation"]["code"]) for post in me["posts"]]
        assert found == ([(user["role"], user["organisation"])] if user["role"] else [])


async def test_a_corrected_error_workbook_is_imported_seen_and_undone(
    stack: RunningStack, command: Command, demo: dict[str, Any], tmp_path: Path, eventually: Eventually
) -> None:
    before = (await dashboard(stack, demo["organisation"]))["members"]
    await asyncio.to_thread(command.json, "roster", "errors", demo["roster"], "-o", "errors.xlsx")
    mended = mend(tmp_path / "errors.xlsx")
    assert mended >= len(MENDED)
    imported = await asyncio.to_thread(command.json, "roster", "import", "errors.xlsx")
    assert imported["state"] == "applied"
    assert (imported["rows"], imported["created"]) == (SPOILT, mended)
    assert imported["rejected"] == SPOILT - mended
    await eventually(partial(shows, stack, demo["organisation"], before + mended), timeout=30)

    undone = await asyncio.to_thread(command.json, "roster", "undo", imported["id"], "--reason", "try")
    assert (undone["state"], undone["undone"], undone["kept"]) == ("undone", mended, 0)
    await eventually(partial(shows, stack, demo["organisation"], before), timeout=30)


def mend(workbook: Path) -> int:
    """Correct some rows as an officer would, in place; how many."""
    book = openpyxl.load_workbook(workbook)
    sheet = book.active
    assert sheet is not None
    headings = [str(cell.value).split("\n")[0] for cell in sheet[1]]
    assert len([heading for heading in headings if "原因" in heading]) == 1
    mended = 0
    for row in sheet.iter_rows(min_row=2):
        for heading, words in MENDED.items():
            cell = row[headings.index(heading)]
            if cell.value == words:
                cell.value = None
                mended += 1
    book.save(workbook)
    return mended


async def test_a_member_s_timeline_and_search_are_there(stack: RunningStack, demo: dict[str, Any]) -> None:
    names = names_in(Path(demo["file"]), "990101001")
    async with stack.client("registrar-enterprise") as client:
        found = await client.post("/api/v1/members/search", json={"name": names[0], "exact": True})
        assert found.status_code == 200, found.text
        member = found.json()["items"][0]
        assert member["name"] == names[0]
        assert "*" in member["document_masked"]
        timeline = await client.get(f"/api/v1/members/{member['id']}/timeline")
        assert timeline.status_code == 200, timeline.text
        assert timeline.json()["items"][-1]["type"] == "unionhall.membership.member.admitted.v1"
    async with stack.client("registrar-enterprise-2") as stranger:
        hidden = await stranger.get(f"/api/v1/members/{member['id']}/timeline")
        assert hidden.status_code == 404


def names_in(workbook: Path, unit: str) -> list[str]:
    """Names of the good rows of a unit in the roster that the demo wrote: such as have every cell as the import wants it."""
    sheet = openpyxl.load_workbook(workbook).active
    assert sheet is not None
    first, *rows = sheet.iter_rows(values_only=True)
    table = [dict(zip(first, row, strict=True)) for row in rows]
    return [
        str(row["姓名"])
        for row in table
        if row["工会组织编码"] == unit
        and row["证件类型"] == "居民身份证"
        and not row["性别"]  # only good rows leave it out
        and len(str(row["姓名"]).strip()) == len(str(row["姓名"]))
    ]


async def test_a_moved_unit_takes_its_figures_along(
    stack: RunningStack, demo: dict[str, Any], eventually: Eventually
) -> None:
    async with stack.client("administrator") as client:
        unit = await unit_of(client, demo["organisation"], "990202002")
        old, new = (
            await unit_of(client, demo["organisation"], "990202"),
            await unit_of(client, demo["organisation"], "990201"),
        )
        members = (await dashboard(stack, unit["id"]))["members"]
        counts = [(await dashboard(stack, area["id"]))["members"] for area in (old, new)]
        assert members > 0
        preview = await client.post(
            f"/api/v1/organisations/{unit['id']}/move/preview", json={"parent_id": new["id"]}
        )
        assert preview.json()["affected"]["members"] >= members
        moved = await client.post(
            f"/api/v1/organisations/{unit['id']}/move",
            json={"parent_id": new["id"]},
            headers={"If-Match": f'"{unit["version"]}"', "Idempotency-Key": "move-once"},
        )
        assert moved.status_code == 200, moved.text
    await eventually(partial(shows, stack, old["id"], counts[0] - members), timeout=30)
    await eventually(partial(shows, stack, new["id"], counts[1] + members), timeout=30)


async def test_a_worker_killed_in_the_middle_of_an_import_loses_nothing(
    stack: RunningStack, command: Command, demo: dict[str, Any], tmp_path: Path, eventually: Eventually
) -> None:
    before = (await dashboard(stack, demo["organisation"]))["members"]
    await asyncio.to_thread(command.json, "roster", "errors", demo["roster"], "-o", "errors.xlsx")
    mended = mend(tmp_path / "errors.xlsx")
    checked = await asyncio.to_thread(command.json, "roster", "check", "errors.xlsx")
    killed = {name: stack.kill(name) for name in ("membership-worker", "gateway-worker")}
    async with stack.client("registrar-province") as client:
        headers = {"If-Match": f'"{checked["version"]}"', "Idempotency-Key": "apply-once"}
        applied = await client.post(f"/api/v1/rosters/{checked['id']}/apply", json={}, headers=headers)
        assert applied.status_code == 202, applied.text
    for name, pid in killed.items():
        await eventually(partial(stack.is_back, name, pid), timeout=60)
    await eventually(partial(shows, stack, demo["organisation"], before + mended), timeout=60)
    imported = await asyncio.to_thread(command.json, "roster", "status", checked["id"])
    assert (imported["state"], imported["created"]) == ("applied", mended)


async def test_verify_finds_nothing_wrong_after_all_this(command: Command, demo: dict[str, Any]) -> None:
    ran = await asyncio.to_thread(command.run, "verify")
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
