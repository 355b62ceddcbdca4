"""Steps of a member over HTTP, what is masked, who sees what, and erasure."""

from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from shared.contracts.membership import MEMBER_ERASED
from tests.integration.membership.members.people import admitted, applied, escalated, number, registrars
from tests.support.membership import Federation


async def test_retained_restored_and_deceased(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    member = await admitted(federation, unit["id"], pair)
    path = f"/members/{member}"
    retained = await federation.call(
        "POST", f"{path}/retention", by=pair[0], version=2, json={"reason": "退休"}
    )
    assert retained["status"] == "retained"
    await federation.call("POST", f"{path}/restoration", by=pair[0], version=3, json={})
    federation.clock.advance(timedelta(days=2))
    future = {"on": "2027-01-01"}
    await federation.call("POST", f"{path}/death", by=pair[0], version=4, json=future, expect=422)
    dead = await federation.call("POST", f"{path}/death", by=pair[0], version=4, json={"on": "2026-03-17"})
    assert (dead["status"], dead["left_on"]) == ("deceased", "2026-03-17")
    refused = await federation.call(
        "POST", f"{path}/withdrawal", by=pair[0], version=5, json={"reason": "x"}, expect=409, language="en"
    )
    assert refused["code"] == "member-cannot-withdraw"
    assert [kind for kind, _ in await federation.events(member)][2:] == [
        "member.retained.v1", "member.restored.v1", "member.deceased.v1",
    ]  # fmt: skip


async def test_details_change_under_the_version_that_was_read(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    member = await admitted(federation, unit["id"], pair, phone="13900001111")
    other = await admitted(federation, unit["id"], pair)
    path = f"/members/{member}"
    body = {"name": "单小明", "phone": "13900002222", "employment_form": "new_form"}
    await federation.call("PATCH", path, by=pair[0], json=body, expect=428)
    await federation.call("PATCH", path, by=pair[0], json=body, version=1, expect=412)
    changed = await federation.call("PATCH", path, by=pair[0], json=body, version=2)
    assert (changed["name"], changed["phone_masked"], changed["version"]) == ("单小明", "139****2222", 3)
    found = await federation.call("POST", "/members/search", by=pair[0], json={"phone": "13900002222"})
    assert [one["id"] for one in found["items"]] == [member]
    gone = await federation.call("POST", "/members/search", by=pair[0], json={"phone": "13900001111"})
    assert gone["items"] == []
    await federation.call("PATCH", path, by=pair[0], json={}, version=3, expect=422)
    wrong = await federation.call(
        "PATCH", path, by=pair[0], json={"document_number": "12"}, version=3, expect=422
    )
    assert wrong["problems"][0]["code"] == "document-length"
    taken = number()
    await federation.call(
        "PATCH", f"/members/{other}", by=pair[0], json={"document_number": taken}, version=2
    )
    twice = await federation.call(
        "PATCH", path, by=pair[0], json={"document_number": taken}, version=3, expect=409
    )
    assert twice["code"] == "member-exists"
    shared = await federation.call(
        "PATCH", f"/members/{other}", by=pair[0], json={"phone": "13900002222"}, version=3
    )
    assert shared["version"] == 4
    assert (await federation.call("GET", path, by=pair[0]))["warnings"] == ["phone-shared"]


async def test_unmasking_takes_a_right_a_reason_and_is_counted(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    auditor = await federation.user("auditor", unit["id"])
    document = number()
    member = await admitted(federation, unit["id"], pair, document_number=document)
    path = f"/members/{member}/unmasking"
    await federation.call("POST", path, by=auditor, json={"reason": "看看"}, expect=403)
    await federation.call("POST", path, by=pair[0], json={}, expect=422)
    shown = await federation.call("POST", path, by=pair[0], json={"reason": "核对证件"})
    assert (shown["document_number"], shown["birth_date"]) == (document, "1990-03-07")
    (trace,) = await federation.rows(
        "SELECT * FROM audit_entries WHERE action = 'member.unmask' AND subject_id = $1", UUID(member)
    )
    assert (trace["actor_subject"], orjson.loads(trace["details"])) == (pair[0], {"reason": "核对证件"})
    connection = await asyncpg.connect(federation.urls.owner)
    try:
        await connection.execute("UPDATE daily_uses SET uses = 50 WHERE subject = $1", pair[0])
    finally:
        await connection.close()
    capped = await federation.call("POST", path, by=pair[0], json={"reason": "核对证件"}, expect=429)
    assert capped["code"] == "unmask-cap-reached"
    federation.clock.advance(timedelta(days=1))
    await federation.call("POST", path, by=pair[0], json={"reason": "核对证件"})


async def test_nobody_reaches_beyond_the_own_subtree(federation: Federation) -> None:
    mine, other = await federation.unit(), await federation.unit()
    below = await federation.unit(mine["id"], kind="branch")
    pair = await registrars(federation, mine["id"])
    carl = await federation.user("registrar", other["id"])
    upper = await federation.user("auditor", federation.root_id)
    member = await admitted(federation, below["id"], pair)
    path = f"/members/{member}"
    for reader in (pair[0], upper):
        assert (await federation.call("GET", path, by=reader))["id"] == member
    await federation.call("GET", path, by=carl, expect=404)
    await federation.call("GET", f"{path}/history", by=carl, expect=404)
    await federation.call("POST", f"{path}/withdrawal", by=carl, version=2, json={"reason": "x"}, expect=404)
    await federation.call("POST", f"{path}/withdrawal", by=upper, version=2, json={"reason": "x"}, expect=403)
    assert await federation.call("POST", "/members/names", by=carl, json={"ids": [member]}) == {"names": {}}
    ids = {"ids": [member, str(uuid4())]}
    assert await federation.call("POST", "/members/names", by=upper, json=ids) == {"names": {member: "王伟"}}
    empty = await federation.call("GET", "/members", by=carl)
    assert empty["items"] == []
    await federation.call("GET", f"/members?organisation={mine['id']}", by=carl, expect=404)


async def test_row_level_security_alone_shows_nothing_without_a_scope(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    member = await admitted(federation, unit["id"], pair)
    (placed,) = await federation.rows("SELECT path FROM members WHERE id = $1", UUID(member))
    connection = await asyncpg.connect(federation.urls.app)
    tables = ("members", "affiliations", "member_history", "transfers")
    try:
        for scope in ("", "garbage", "%", "/", "zzz/"):
            await connection.execute("SELECT set_config('app.scope', $1, false)", scope)
            for table in tables:
                assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0, (table, scope)
        await connection.execute("SELECT set_config('app.scope', $1, false)", placed["path"])
        for table, count in (("members", 1), ("affiliations", 1), ("member_history", 2)):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == count
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE member_history SET reason = 'x'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE members SET path = '1/' WHERE id = $1", UUID(member))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM members")
    finally:
        await connection.close()


async def test_an_erased_person_leaves_a_pseudonym_and_a_tombstone(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    document = number()
    member = await admitted(federation, unit["id"], pair, document_number=document, name="赵无名")
    path = f"/members/{member}"
    await federation.call("POST", f"{path}/retention", by=pair[0], version=2, json={"reason": "赵无名退休"})
    reason = {"reason": "本人申请"}
    await federation.call("POST", f"{path}/erasure", by=pair[0], version=3, json=reason, expect=403)
    erased = await federation.call("POST", f"{path}/erasure", version=3, json=reason)
    assert (erased["name"], erased["document_masked"], erased["status"]) == ("", None, "withdrawn")
    (event,) = await federation.rows("SELECT * FROM outbox WHERE key = $1 AND sequence = 4", UUID(member))
    assert (event["type"], event["payload"]) == (MEMBER_ERASED, None)
    rows = await federation.rows("SELECT reason FROM member_history WHERE member_id = $1", UUID(member))
    assert {row["reason"] for row in rows} == {None}
    (trace,) = await federation.rows(
        "SELECT * FROM audit_entries WHERE action = 'member.erased' AND subject_id = $1", UUID(member)
    )
    assert trace["details"] == '{"reason": "本人申请"}'
    (row,) = await federation.rows("SELECT * FROM members WHERE id = $1", UUID(member))
    sealed = (
        "document_sealed",
        "document_blind",
        "last4_blind",
        "phone_sealed",
        "phone_blind",
        "data_key_wrapped",
    )
    assert not any(row[column] for column in (*sealed, "name", "name_pinyin", "birth_year"))
    found = await federation.call("POST", "/members/search", by=pair[0], json={"last_four": document[-4:]})
    assert found["items"] == []
    await federation.call("POST", f"{path}/unmasking", by=pair[0], json=reason, expect=409)
    again = await applied(federation, unit["id"], pair[0], document_number=document)
    assert again["id"] != member


async def test_an_unanswered_application_escalates_after_three_working_days(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    late = await applied(federation, unit["id"], pair[0])
    answered = await admitted(federation, unit["id"], pair)
    # 16 March 2026 is a Monday: Tuesday, Wednesday and Thursday are the three days.
    federation.clock.advance(timedelta(days=3))
    recent = await applied(federation, unit["id"], pair[0])
    await escalated(federation)
    listed = f"/members?organisation={unit['id']}&escalated=true"
    assert (await federation.call("GET", listed, by=pair[0]))["items"] == []
    federation.clock.advance(timedelta(days=1))
    await escalated(federation)
    found = [member["id"] for member in (await federation.call("GET", listed, by=pair[0]))["items"]]
    assert found == [late["id"]]
    assert not {answered, recent["id"]} & set(found)
    # Being late is no change of the member: who has read version 1 may still answer.
    approved = await federation.call("POST", f"/members/{late['id']}/approval", by=pair[1], version=1)
    assert approved["escalated_at"] is None
