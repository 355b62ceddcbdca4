"""A roster becomes members, as a registrar sees it."""

import io
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import openpyxl
import orjson
import pytest

from membership_service.rosters import repository
from membership_service.rosters.columns import Cell
from shared.contracts.envelope import registry as contracts
from shared.contracts.membership import MEMBERS
from tests.integration.membership.members.people import admitted, applied, registrars
from tests.integration.membership.rosters.conftest import Registry, members_of, somebody, totals
from tests.support.rosters import HEADINGS, comma_separated, row_of, workbook


async def test_a_roster_becomes_members_and_events(registry: Registry) -> None:
    rows = [somebody(姓名="单田芳"), somebody(入会日期="2025-07-01"), somebody(用工形式="")]
    checked = await registry.upload_rows(*rows)
    assert (checked["state"], totals(checked)) == ("checked", (3, 0, 0, 0))
    assert await members_of(registry) == []
    applied_ = await registry.apply(checked)
    assert (applied_["state"], totals(applied_), applied_["progress"]) == ("applied", (3, 0, 0, 0), 1.0)
    members = await members_of(registry)
    assert [member["name_pinyin"] for member in members] == ["shantianfang", "wangxiaoming", "wangxiaoming"]
    assert {member["status"] for member in members} == {"active"}
    assert members[1]["joined_on"] == date(2025, 7, 1)
    for member in members:
        assert await registry.federation.events(str(member["id"])) == [("member.admitted.v1", 1)]


async def published_and_recorded_alike(registry: Registry, *ids: UUID) -> None:
    """Newest event, affiliation and history entry of two members are the same up to ids, versions and who did it."""
    sql = "SELECT payload, source, topic FROM outbox WHERE key = $1 ORDER BY sequence DESC LIMIT 1"
    events = [(await registry.federation.rows(sql, member))[0] for member in ids]
    model = contracts.types["unionhall.membership.member.admitted.v1"]
    assert model is not None
    states = [model.model_validate_json(event["payload"]).model_dump() for event in events]
    for state in states:
        state["state"].pop("member_id")
    assert states[0] == states[1]
    assert orjson.loads(events[0]["payload"]).keys() == orjson.loads(events[1]["payload"]).keys()
    assert [event["topic"] for event in events] == [MEMBERS.name] * 2
    assert events[0]["source"] == events[1]["source"]
    for table in ("affiliations", "member_history"):
        sql = f"SELECT * FROM {table} WHERE member_id = $1 ORDER BY 2 DESC LIMIT 1"
        rows = [dict((await registry.federation.rows(sql, member))[0]) for member in ids]
        for row in rows:
            for name in ("member_id", "version", "from_version", "actor_subject", "happened_at"):
                row.pop(name, None)
        assert rows[0] == rows[1]


async def test_a_member_by_import_is_as_a_member_by_hand(registry: Registry) -> None:
    by_import, by_hand = somebody(), somebody()
    await registry.apply(await registry.upload_rows(by_import))
    pair = await registrars(registry.federation, registry.unit["id"])
    fields = {"name": by_hand[0], "document_number": by_hand[2], "phone": by_hand[3]}
    await admitted(registry.federation, registry.unit["id"], pair, **fields)
    first, second = await members_of(registry)
    own = {
        "id",
        "member_number",
        "version",
        "created_at",
        "updated_at",
        "data_key_wrapped",
        "birth_date_sealed",
    }
    own |= {"document_sealed", "document_blind", "last4_blind", "phone_sealed", "phone_blind"}
    own |= {"applied_at", "applied_by_issuer", "applied_by_subject"}  # nobody applied for those of a roster
    assert {key: first[key] for key in first.keys() - own} == {
        key: second[key] for key in second.keys() - own
    }
    shown = [
        await registry.federation.call("GET", f"/members/{member['id']}", by=registry.registrar)
        for member in (first, second)
    ]
    differing = {key for key in shown[0] if shown[0][key] != shown[1][key]}
    assert differing <= {
        "id",
        "member_number",
        "version",
        "document_masked",
        "phone_masked",
        "applied_at",
        "affiliations",
    }
    await published_and_recorded_alike(registry, first["id"], second["id"])


async def test_the_same_file_twice_changes_nothing(registry: Registry) -> None:
    content = comma_separated([HEADINGS, *(somebody() for _ in range(5))])
    first = await registry.apply(await registry.upload(content))
    outbox = await registry.federation.rows("SELECT count(*) FROM outbox")
    again = await registry.upload(content)
    assert totals(again) == (0, 0, 5, 0)
    assert again["same_file_as"] == first["id"]
    await registry.apply(again)
    assert await registry.federation.rows("SELECT count(*) FROM outbox") == outbox


async def test_changed_details_are_updated_under_the_members_own_key(registry: Registry) -> None:
    row = somebody()
    await registry.apply(await registry.upload_rows(row))
    new_phone = "13100000000"
    changed = [*row]
    changed[0], changed[3], changed[6] = "王大明", new_phone, "劳务派遣"
    checked = await registry.upload_rows(changed, somebody())
    assert totals(checked) == (1, 1, 0, 0)
    await registry.apply(checked)
    member = (await members_of(registry))[0]
    assert (member["name"], member["employment_form"], member["version"]) == ("王大明", "dispatched", 2)
    path = f"/members/{member['id']}/unmasking"
    opened = await registry.federation.call(
        "POST", path, by=registry.registrar, json={"reason": "核对手机号"}
    )
    assert (opened["phone"], opened["document_number"]) == (new_phone, row[2])
    assert await registry.federation.events(str(member["id"])) == [
        ("member.admitted.v1", 1),
        ("member.changed.v1", 2),
    ]


async def test_every_problem_names_row_column_value_reason_and_remedy(registry: Registry) -> None:
    twice = somebody()
    rows = [
        somebody(姓名=""),
        somebody(证件号码="990000199003070011"),
        twice,
        somebody(工会组织编码="NOBODY"),
        [*twice[:3], "", "", "", "", "", "", ""],
        somebody(),
    ]
    checked = await registry.upload_rows(*rows)
    assert totals(checked) == (1, 0, 0, 5)
    problems = await registry.problems(checked)
    assert [(row["row"], row["problems"][0]["column"], row["problems"][0]["code"]) for row in problems] == [
        (2, "姓名", "roster-required"),
        (3, "证件号码", "document-checksum"),
        (4, "证件号码", "roster-duplicate-rows"),
        (5, "工会组织编码", "roster-organisation-unknown"),
        (6, "证件号码", "roster-duplicate-rows"),
    ]
    assert "4, 6" in problems[2]["problems"][0]["reason"]
    assert problems[1]["problems"][0]["value"] == "990***********0011"
    english = await registry.problems(checked, language="en")
    assert all(
        problem["reason"].isascii() and problem["remedy"].isascii()
        for row in english
        for problem in row["problems"]
    )
    await registry.apply(checked)
    assert len(await members_of(registry)) == 1


async def test_a_wrong_unit_is_told_of_together_with_what_else_is_wrong(registry: Registry) -> None:
    own = registry.unit["code"]
    checked = await registry.upload_rows(
        somebody(姓名="", 工会组织编码="NOBODY"),
        somebody(姓名="", 工会组织编码=own),
        somebody(工会组织编码=own),
    )
    assert totals(checked) == (1, 0, 0, 2)
    found = [[one["code"] for one in row["problems"]] for row in await registry.problems(checked)]
    assert found == [["roster-required", "roster-organisation-unknown"], ["roster-required"]]
    shown = [(row["row"], row["problems"][-1]["value"]) for row in await registry.problems(checked)]
    assert shown == [(2, "NOBODY"), (3, "")]


async def test_the_error_workbook_is_corrected_and_uploaded_again(registry: Registry) -> None:
    good, spoilt = somebody(), somebody()
    number = str(spoilt[2])
    heading: list[Cell] = [*HEADINGS, "班组"]
    bad: list[Cell] = [*spoilt, "=1+1"]
    bad[2] = float(number[:17])
    checked = await registry.upload(workbook([heading, [*good, "甲"], bad]), name="r.xlsx")
    assert totals(checked) == (1, 0, 0, 1)
    headers = registry.federation.issuer.headers(registry.registrar)
    reply = await registry.federation.client.get(
        f"/api/v1/rosters/{checked['id']}/errors.xlsx", headers=headers
    )
    assert reply.status_code == 200, reply.text
    # It shows numbers in plain: who fetched it stands in the audit.
    sql = "SELECT actor_subject FROM audit_entries WHERE subject_id = $1 AND action = 'roster.errors-read'"
    readers = await registry.federation.rows(sql, UUID(checked["id"]))
    assert [row["actor_subject"] for row in readers] == [registry.registrar]
    book = openpyxl.load_workbook(io.BytesIO(reply.content))
    sheet = book.worksheets[0]
    cells = [[cell.value for cell in line] for line in sheet.iter_rows()]
    assert [str(cell).split("\n")[0] for cell in cells[0]] == [*map(str, heading), "原行号", "错误原因"]
    assert len(cells) == 2
    assert (sheet.cell(2, 11).value, sheet.cell(2, 11).data_type) == ("=1+1", "s")
    assert not cells[1][2]  # a number has lost digits: nobody may take it for the true one
    assert cells[1][11] == "3"
    assert "文本" in str(cells[1][12])
    assert "text format" in str(cells[1][12])
    sheet.cell(2, 3).value = number
    corrected = io.BytesIO()
    book.save(corrected)
    again = await registry.upload(corrected.getvalue(), name="r2.xlsx")
    assert totals(again) == (1, 0, 0, 0), await registry.problems(again)


async def test_someone_who_belongs_elsewhere_is_only_said_to_be_a_member_elsewhere(
    registry: Registry,
) -> None:
    elsewhere = await registry.federation.unit()
    pair = await registrars(registry.federation, elsewhere["id"])
    row = somebody()
    member = await admitted(
        registry.federation, elsewhere["id"], pair, name=row[0], document_number=row[2], phone=None
    )
    checked = await registry.upload_rows(row)
    problem = (await registry.problems(checked))[0]["problems"][0]
    assert problem["code"] == "roster-member-elsewhere"
    assert elsewhere["id"] not in str(problem)
    assert elsewhere["name"] not in problem["reason"]
    (used,) = await registry.federation.rows(
        "SELECT uses FROM daily_uses WHERE subject = $1 AND kind = 'roster-hint'", registry.registrar
    )
    assert used["uses"] == 1
    (trace,) = await registry.federation.rows(
        "SELECT actor_subject, details FROM audit_entries WHERE subject_id = $1 AND action = 'member.hint'",
        UUID(member),
    )
    assert trace["actor_subject"] == registry.registrar
    assert checked["id"] in trace["details"]


async def test_a_roster_that_fishes_for_members_elsewhere_is_refused_whole(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "HINT_DAILY_CAP", 1)
    elsewhere = await registry.federation.unit()
    pair = await registrars(registry.federation, elsewhere["id"])
    rows = [somebody(), somebody()]
    for row in rows:
        await admitted(registry.federation, elsewhere["id"], pair, document_number=row[2], phone=None)
    assert totals(await registry.upload_rows(rows[0], somebody())) == (1, 0, 0, 1)
    refused = await registry.upload_rows(rows[1], somebody())
    assert (refused["state"], refused["refusal"]["code"]) == ("refused", "roster-too-many-elsewhere")
    assert await registry.problems(refused) == []
    # Within the subtree of the import nobody is a stranger: the same people, imported by the unit above.
    above = await registry.federation.user("registrar", registry.federation.root_id)
    registry.registrar, registry.unit = above, {"id": registry.federation.root_id}
    assert totals(await registry.upload_rows(*rows)) == (0, 0, 0, 2)


async def test_an_application_is_approved_and_a_former_member_comes_back_by_roster(
    registry: Registry,
) -> None:
    federation, unit = registry.federation, registry.unit["id"]
    pair = await registrars(federation, unit)
    waiting, former = somebody(), somebody()
    fields: list[dict[str, Any]] = [
        {"name": row[0], "document_number": row[2], "phone": row[3]} for row in (waiting, former)
    ]
    application = await applied(federation, unit, pair[0], **fields[0])
    left = await admitted(federation, unit, pair, **fields[1])
    await federation.call(
        "POST", f"/members/{left}/withdrawal", by=pair[0], version=2, json={"reason": "离职"}
    )
    checked = await registry.upload_rows(waiting, former)
    assert totals(checked) == (0, 2, 0, 0)
    await registry.apply(checked)
    for member in (application["id"], left):
        shown = await federation.call("GET", f"/members/{member}", by=pair[0])
        assert shown["status"] == "active"
        assert (await federation.events(member))[-1][0] == "member.admitted.v1"
        holding = await federation.rows(
            "SELECT from_on FROM affiliations WHERE member_id = $1 AND to_on IS NULL", UUID(member)
        )
        assert [row["from_on"] for row in holding] == [date.fromisoformat(shown["joined_on"])]


async def test_rows_join_units_below_by_code(registry: Registry) -> None:
    group = await registry.federation.unit(registry.unit["id"], kind="enterprise", name="甲企业工会")
    checked = await registry.upload_rows(somebody(工会组织编码=group["code"].lower()), somebody())
    await registry.apply(checked)
    counts = await registry.federation.rows(
        "SELECT o.id, count(*) FROM members m JOIN organisations o ON o.path = m.path AND o.id = m.organisation_id"
        " WHERE o.id = ANY($1) GROUP BY 1",
        [UUID(group["id"]), UUID(registry.unit["id"])],
    )
    assert sorted(row["count"] for row in counts) == [1, 1]


async def test_a_unit_moved_between_check_and_apply_takes_its_new_members_along(registry: Registry) -> None:
    checked = await registry.upload_rows(somebody())
    target = await registry.federation.unit(kind="city", name="示例市总工会")
    body = {"parent_id": target["id"]}
    version = (await registry.federation.call("GET", f"/organisations/{registry.unit['id']}"))["version"]
    await registry.federation.call(
        "POST", f"/organisations/{registry.unit['id']}/move", json=body, version=version
    )
    registry.federation.clock.advance(timedelta(seconds=6))  # callers are remembered for a few seconds
    await registry.apply(checked)
    sql = "SELECT m.path = o.path AS same FROM members m JOIN organisations o ON o.id = m.organisation_id WHERE o.id = $1"
    assert [row["same"] for row in await registry.federation.rows(sql, UUID(registry.unit["id"]))] == [True]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"hello,world\n", "roster-header-missing"),
        (b"%PDF-1.7", "roster-file-type"),
        (comma_separated([["姓名", "手机号"], ["王五", ""]]), "roster-column-missing"),
        ("姓名,证件号码\n".encode() + b"\xff\xfe\xff", "roster-encoding-unknown"),
        (comma_separated([HEADINGS]), "roster-file-empty"),
        (comma_separated([HEADINGS, *([row_of()] * 30)]) + b'"' + b"x" * 10_000, "roster-row-unreadable"),
    ],
)
async def test_a_file_that_cannot_be_used_is_refused_with_a_reason(
    registry: Registry, content: bytes, code: str
) -> None:
    refused = await registry.upload(content)
    assert (refused["state"], refused["refusal"]["code"], refused["rows"]) == ("refused", code, 0)
    assert (
        await registry.federation.rows("SELECT FROM roster_rows WHERE import_id = $1", UUID(refused["id"]))
        == []
    )
    await registry.step(refused, "apply", expect=409, json={})


async def test_an_empty_upload_is_refused_at_once(registry: Registry) -> None:
    data = {"organisation_id": registry.unit["id"]}
    reply = await registry.call("POST", "", expect=422, files={"file": ("a.csv", b"")}, data=data)
    assert reply["code"] == "roster-file-empty"


async def test_only_a_registrar_of_the_unit_imports_and_sees_imports(registry: Registry) -> None:
    federation = registry.federation
    checked = await registry.upload_rows(somebody(姓名=""))
    auditor = await federation.user("auditor", registry.unit["id"])
    other = await federation.user("registrar", (await federation.unit())["id"])
    for by, expect in ((auditor, 403), (other, 404)):
        for path in ("", "/problems", "/errors.xlsx"):
            await registry.call("GET", f"/{checked['id']}{path}", by=by, expect=expect)
        for verb, body in (("apply", {}), ("cancel", None), ("undo", {"reason": "x"})):
            url = f"/{checked['id']}/{verb}"
            await registry.call("POST", url, by=by, version=checked["version"], expect=expect, json=body)
        await registry.call(
            "POST",
            "",
            by=by,
            expect=expect,
            files={"file": ("a.csv", b"x")},
            data={"organisation_id": registry.unit["id"]},
        )
    listed = await registry.call("GET", f"?organisation={registry.unit['id']}")
    assert [roster["id"] for roster in listed["items"]] == [checked["id"]]


async def test_the_template_can_be_filled_in_and_uploaded(registry: Registry) -> None:
    headers = registry.federation.issuer.headers(registry.registrar)
    reply = await registry.federation.client.get("/api/v1/rosters/template", headers=headers)
    book = openpyxl.load_workbook(io.BytesIO(reply.content))
    sheet = book.worksheets[0]
    assert {str(validation.sqref) for validation in sheet.data_validations.dataValidation} == {
        "B2:B100001",
        "E2:E100001",
        "G2:G100001",
    }
    assert sheet.column_dimensions["C"].number_format == "@" or sheet.cell(2, 3).number_format in {
        "@",
        "General",
    }
    for position, cell in enumerate(somebody(证件类型="居民身份证"), 1):
        sheet.cell(2, position).value = cell or None
    filled = io.BytesIO()
    book.save(filled)
    assert totals(await registry.upload(filled.getvalue(), name="t.xlsx")) == (1, 0, 0, 0)


async def test_no_number_stands_in_the_database_in_the_clear(registry: Registry) -> None:
    row = somebody()
    bad = somebody(手机号="1380000")
    await registry.apply(await registry.upload_rows(row, bad))
    secrets = [str(cell).encode() for cell in (row[2], row[3], bad[2])]
    for table in ("roster_rows", "roster_imports", "roster_file_pieces", "members", "outbox", "jobs"):
        dumped = await registry.federation.rows(f"SELECT convert_to(t::text, 'UTF8') AS all FROM {table} t")
        text = b"\n".join(line["all"] for line in dumped)
        assert not any(secret in text or secret.hex().encode() in text for secret in secrets), table
