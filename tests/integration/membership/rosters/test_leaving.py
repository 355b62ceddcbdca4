"""What an import takes back: cancelled, undone, past its term; and who is missing from a full roster."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from membership_service.rosters import jobs, repository
from membership_service.rosters.domain import RosterImport
from shared.database.session import WriteSession
from tests.integration.membership.rosters.conftest import Registry, members_of, somebody, totals
from tests.support.rosters import HEADINGS, comma_separated


async def test_an_undo_takes_everybody_back_and_frees_the_number(registry: Registry) -> None:
    rows = [somebody() for _ in range(3)]
    applied_ = await registry.apply(await registry.upload_rows(*rows))
    first = (await members_of(registry))[0]
    await registry.federation.call(
        "POST", f"/members/{first['id']}/retention", by=registry.registrar, version=1, json={"reason": "退休"}
    )
    undone = await registry.undo(applied_)
    assert (undone["state"], undone["undone"], undone["kept"]) == ("undone", 2, 1)
    problems = await registry.problems(undone)
    assert [row["problems"][0]["code"] for row in problems] == ["roster-undo-changed-since"]
    assert sorted(member["status"] for member in await members_of(registry)) == [
        "retained",
        "withdrawn",
        "withdrawn",
    ]
    gone = next(member for member in await members_of(registry) if member["status"] == "withdrawn")
    assert (await registry.federation.events(str(gone["id"])))[-1] == ("member.withdrawn.v1", 2)
    again = await registry.upload_rows(*rows)
    assert totals(again) == (2, 0, 1, 0)


async def test_an_undo_of_changes_brings_the_details_back(registry: Registry) -> None:
    row = somebody()
    await registry.apply(await registry.upload_rows(row))
    before = (await members_of(registry))[0]
    changed = [*row]
    changed[0], changed[3] = "王大明", "13100000009"
    await registry.undo(await registry.apply(await registry.upload_rows(changed)))
    after = (await members_of(registry))[0]
    same = before.keys() - {"version", "updated_at"}
    assert {key: before[key] for key in same} == {key: after[key] for key in same}
    assert after["version"] == 3


async def test_a_cancelled_import_applies_nothing_more(registry: Registry) -> None:
    checked = await registry.upload_rows(somebody())
    await registry.step(checked, "apply", json={})
    cancelled = await registry.step(checked, "cancel", expect=200)
    await registry.work()
    assert cancelled["state"] == "cancelled"
    assert (totals(cancelled), cancelled["remaining"], cancelled["progress"]) == ((0, 0, 0, 0), 1, 0.0)
    assert await members_of(registry) == []
    await registry.step(checked, "apply", expect=409, json={})


async def test_an_import_cancelled_half_way_says_what_was_done(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHUNK_ROWS", 2)
    checked = await registry.upload_rows(*[somebody() for _ in range(4)], somebody(姓名=""))
    assert (totals(checked), checked["remaining"]) == ((4, 0, 0, 1), 0)
    apply = repository.apply

    async def apply_and_cancel(session: WriteSession, roster: RosterImport, *rest: Any) -> None:
        await apply(session, roster, *rest)
        # As if the user's cancellation came right after this chunk.
        roster.cancel(registry.federation.clock.now())

    monkeypatch.setattr(repository, "apply", apply_and_cancel)
    cancelled = await registry.apply(checked)
    assert cancelled["state"] == "cancelled"
    assert (totals(cancelled), cancelled["remaining"]) == ((2, 0, 0, 1), 2)
    assert 0 < cancelled["progress"] < 1
    assert len(await members_of(registry)) == 2
    undone = await registry.undo(checked)
    assert (undone["state"], undone["undone"], undone["progress"]) == ("undone", 2, 1.0)


async def test_before_it_is_applied_a_cancelled_import_did_nothing(registry: Registry) -> None:
    checked = await registry.upload_rows(somebody(), somebody(姓名=""))
    cancelled = await registry.step(checked, "cancel", expect=200)
    assert (totals(cancelled), cancelled["remaining"], cancelled["progress"]) == ((0, 0, 0, 1), 1, 0.0)


async def test_an_import_that_nobody_works_on_says_so_in_both_languages(registry: Registry) -> None:
    content = comma_separated([HEADINGS, somebody()])
    data = {"organisation_id": registry.unit["id"]}
    roster = await registry.call("POST", "", expect=202, files={"file": ("a.csv", content)}, data=data)
    path = f"/{roster['id']}"
    assert (await registry.call("GET", path))["warnings"] == []
    late = "UPDATE jobs SET run_after = now() - interval '40 s' WHERE payload ->> 'import_id' = $1"
    await registry.federation.rows(late, roster["id"])
    for language, words in (("zh-CN", "没有后台进程"), ("en", "No background process")):
        (warning,) = (await registry.call("GET", path, language=language))["warnings"]
        assert (warning["code"], warning["count"]) == ("roster-unattended", 1)
        assert words in warning["text"]
    await registry.work()
    checked = await registry.call("GET", path)
    assert checked["state"] == "checked"
    assert "roster-unattended" not in {warning["code"] for warning in checked["warnings"]}


async def test_after_its_term_the_file_is_destroyed(registry: Registry) -> None:
    checked = await registry.upload_rows(somebody(姓名=""))
    registry.federation.clock.advance(timedelta(days=31))
    await registry.expire()
    for table in ("roster_rows", "roster_file_pieces"):
        sql = f"SELECT FROM {table} WHERE import_id = $1"
        assert await registry.federation.rows(sql, UUID(checked["id"])) == []
    refused = await registry.call("GET", f"/{checked['id']}/errors.xlsx", expect=409)
    assert refused["code"] == "roster-file-destroyed"


async def test_a_full_roster_shows_who_is_missing_and_lets_them_leave_only_when_asked(
    registry: Registry,
) -> None:
    rows = [somebody() for _ in range(3)]
    await registry.apply(await registry.upload_rows(*rows))
    full = comma_separated([HEADINGS, rows[0], somebody()])
    checked = await registry.upload(full, mode="full")
    assert (totals(checked), checked["missing"]) == ((1, 0, 1, 0), 2)
    missing = (await registry.call("GET", f"/{checked['id']}/missing"))["items"]
    assert len(missing) == 2
    applied_ = await registry.apply(checked)
    assert applied_["withdrawn"] == 0
    checked = await registry.upload(full, mode="full")
    applied_ = await registry.apply(checked, apply_left=True)
    assert (applied_["withdrawn"], totals(applied_)) == (2, (0, 0, 2, 0))
    gone = {str(member["id"]) for member in await members_of(registry) if member["status"] == "withdrawn"}
    assert gone == {member["id"] for member in missing}
    undone = await registry.undo(applied_)
    assert (undone["undone"], undone["kept"]) == (2, 0)
    for member in gone:
        assert [kind for kind, _ in await registry.federation.events(member)] == [
            "member.admitted.v1",
            "member.withdrawn.v1",
            "member.admitted.v1",
        ]


async def test_nobody_leaves_because_of_a_file_with_mistakes(registry: Registry) -> None:
    checked = await registry.upload(comma_separated([HEADINGS, somebody(姓名="")]), mode="full")
    refused = await registry.step(checked, "apply", expect=409, json={"apply_left": True})
    assert refused["code"] == "roster-left-needs-clean"
    only_added = await registry.upload_rows(somebody())
    refused = await registry.step(only_added, "apply", expect=409, json={"apply_left": True})
    assert refused["code"] == "roster-not-full"
