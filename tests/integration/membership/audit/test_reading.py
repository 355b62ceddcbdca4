"""The audit over HTTP: auditors read what belongs to their units, newest first, and leave a trace themselves."""

from typing import Any

from tests.integration.membership.members.people import admitted, registrars
from tests.support.membership import Federation


async def read(federation: Federation, unit: str, by: str, expect: int = 200, **query: Any) -> Any:
    params = {"organisation": unit} | query
    return await federation.call("GET", "/audit", by=by, expect=expect, params=params)


async def test_an_auditor_sees_who_did_what_at_the_own_units_alone(federation: Federation) -> None:
    mine, other = await federation.unit(), await federation.unit()
    below = await federation.unit(mine["id"], kind="branch")
    auditor = await federation.user("auditor", mine["id"])
    pair = await registrars(federation, below["id"])
    foreign = await registrars(federation, other["id"])
    member = await admitted(federation, below["id"], pair)
    await admitted(federation, other["id"], foreign)
    await federation.call("POST", f"/members/{member}/unmasking", by=pair[0], json={"reason": "核对证件"})

    seen = (await read(federation, mine["id"], auditor))["items"]
    assert [entry["id"] for entry in seen] == sorted((entry["id"] for entry in seen), reverse=True)
    assert (seen[0]["action"], seen[0]["actor_subject"]) == ("member.unmask", pair[0])
    assert seen[0]["details"] == {"reason": "核对证件"}
    assert seen[0]["request_id"]
    assert {entry["actor_subject"] for entry in seen}.isdisjoint(foreign)
    about = (await read(federation, mine["id"], auditor, subject=member))["items"]
    assert [entry["action"] for entry in about][:1] == ["member.unmask"]
    assert {entry["subject_id"] for entry in about} == {member}

    await read(federation, other["id"], auditor, expect=404)
    await read(federation, mine["id"], pair[0], expect=404)
    await read(federation, below["id"], pair[0], expect=403)
    administrator = await federation.user("administrator", mine["id"])
    await read(federation, mine["id"], administrator, expect=403)


async def test_reading_the_audit_is_audited(federation: Federation) -> None:
    unit = await federation.unit()
    auditor = await federation.user("auditor", unit["id"])
    first = (await read(federation, unit["id"], auditor))["items"]
    assert "audit.read" not in {entry["action"] for entry in first}
    (trace, *_) = (await read(federation, unit["id"], auditor))["items"]
    assert (trace["action"], trace["actor_subject"]) == ("audit.read", auditor)
    assert trace["subject_id"] == unit["id"]


async def test_pages_follow_each_other_without_a_gap(federation: Federation) -> None:
    unit = await federation.unit()
    auditor = await federation.user("auditor", unit["id"])
    for _ in range(4):
        await federation.user("registrar", unit["id"])
    whole = [entry["id"] for entry in (await read(federation, unit["id"], auditor))["items"]]
    page = await read(federation, unit["id"], auditor, limit=2)
    read_on = [entry["id"] for entry in page["items"]]
    while page["next_cursor"]:
        page = await read(federation, unit["id"], auditor, limit=2, cursor=page["next_cursor"])
        read_on += [entry["id"] for entry in page["items"]]
    # The first page begins with the trace of the reading before it.
    assert read_on[1:] == whole
    cursor = (await read(federation, unit["id"], auditor, limit=2))["next_cursor"]
    await read(federation, federation.root_id, auditor, expect=404, cursor=cursor)
    below = await federation.unit(unit["id"], kind="branch")
    broken = await read(federation, below["id"], auditor, expect=400, cursor=cursor)
    assert broken["code"] == "cursor-broken"
