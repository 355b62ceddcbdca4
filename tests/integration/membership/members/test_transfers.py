"""Moves of members between units: asked for, released, accepted; refused, cancelled; decided from above when nobody answers."""

from datetime import timedelta
from typing import Any

from tests.integration.membership.members.people import admitted, escalated, number, person, registrars
from tests.support.membership import Federation


async def test_the_old_side_sends_and_the_new_side_takes(federation: Federation) -> None:
    old, new = await federation.unit(), await federation.unit()
    pair = await registrars(federation, old["id"])
    carl = await federation.user("registrar", new["id"])
    member = await admitted(federation, old["id"], pair)
    body = {"to_organisation_id": new["id"], "reason": "调动"}
    await federation.call("POST", f"/members/{member}/transfers", by=carl, json=body, expect=404)
    transfer = await federation.call(
        "POST", f"/members/{member}/transfers", by=pair[0], json=body, expect=201
    )
    assert transfer["state"] == "released"
    await federation.call("POST", f"/members/{member}/transfers", by=pair[0], json=body, expect=409)
    path = f"/transfers/{transfer['id']}"
    listed = await federation.call("GET", "/transfers", by=carl)
    assert [one["id"] for one in listed["items"]] == [transfer["id"]]
    await federation.call("GET", f"/members/{member}", by=carl, expect=404)
    await federation.call("POST", f"{path}/acceptance", by=pair[0], version=transfer["version"], expect=403)
    accepted = await federation.call("POST", f"{path}/acceptance", by=carl, version=transfer["version"])
    assert accepted["state"] == "accepted"
    detail = await federation.call("GET", f"/members/{member}", by=carl)
    assert (detail["status"], detail["organisation_id"], detail["joined_on"]) == (
        "active",
        new["id"],
        "2026-03-16",
    )
    assert [link["organisation_id"] for link in detail["affiliations"]] == [old["id"], new["id"]]
    await federation.call("GET", f"/members/{member}", by=pair[0], expect=404)
    history = await federation.call("GET", f"/members/{member}/history", by=carl)
    assert [row["happening"] for row in history["items"]] == [
        "applied",
        "admitted",
        "transfer-requested",
        "transferred",
    ]
    assert await federation.events(member) == [
        ("member.applied.v1", 1), ("member.admitted.v1", 2), ("member.transfer-requested.v1", 3), ("member.transferred.v1", 4),
    ]  # fmt: skip


async def _asked_by_document(federation: Federation) -> tuple[dict[str, Any], str, tuple[str, str], str]:
    old, new = await federation.unit(), await federation.unit()
    pair = await registrars(federation, old["id"])
    carl = await federation.user("registrar", new["id"])
    document = number()
    member = await admitted(federation, old["id"], pair, document_number=document)
    body = {"to_organisation_id": new["id"], "reason": "入职", "document_number": document}
    transfer = await federation.call("POST", "/transfers", by=carl, json=body, expect=201)
    return transfer, member, pair, carl


async def test_the_new_side_asks_by_document_and_waits_for_the_release(federation: Federation) -> None:
    transfer, member, pair, carl = await _asked_by_document(federation)
    assert transfer["state"] == "requested"
    path = f"/transfers/{transfer['id']}"
    early = await federation.call("POST", f"{path}/acceptance", by=carl, version=1, expect=409)
    assert early["code"] == "transfer-not-released"
    await federation.call("POST", f"{path}/release", by=carl, version=1, expect=403)
    await federation.call("POST", f"{path}/release", by=pair[1], version=1)
    await federation.call("POST", f"{path}/acceptance", by=carl, version=2)
    assert (await federation.call("GET", f"/members/{member}", by=carl))["status"] == "active"
    unknown = {
        "to_organisation_id": transfer["to_organisation_id"],
        "reason": "入职",
        "document_number": number(),
    }
    await federation.call("POST", "/transfers", by=carl, json=unknown, expect=404)


async def test_a_refused_or_cancelled_transfer_leaves_the_member_where_he_was(federation: Federation) -> None:
    transfer, member, pair, carl = await _asked_by_document(federation)
    reason = {"reason": "手续不全"}
    path = f"/transfers/{transfer['id']}"
    await federation.call("POST", f"{path}/cancellation", by=pair[0], version=1, json=reason, expect=403)
    refused = await federation.call("POST", f"{path}/refusal", by=pair[0], version=1, json=reason)
    assert (refused["state"], refused["answer"]) == ("refused", "手续不全")
    assert (await federation.call("GET", f"/members/{member}", by=pair[0]))["status"] == "active"
    await federation.call("POST", f"{path}/acceptance", by=carl, version=2, expect=409)
    other, member, pair, carl = await _asked_by_document(federation)
    path = f"/transfers/{other['id']}"
    cancelled = await federation.call("POST", f"{path}/cancellation", by=carl, version=1, json=reason)
    assert cancelled["state"] == "cancelled"
    assert [kind for kind, _ in await federation.events(member)][2:] == [
        "member.transfer-requested.v1", "member.transfer-ended.v1",
    ]  # fmt: skip


async def test_a_member_asks_for_the_own_move(federation: Federation) -> None:
    old, new = await federation.unit(), await federation.unit()
    pair = await registrars(federation, old["id"])
    carl = await federation.user("registrar", new["id"])
    eva = f"eva-{old['id'][:8]}"
    body = person() | {"organisation_id": old["id"]}
    application = await federation.call("POST", "/me/application", by=eva, expect=201, json=body)
    await federation.call("POST", f"/members/{application['id']}/approval", by=pair[0], version=1)
    asked = {"to_organisation_id": new["id"], "reason": "换工作"}
    transfer = await federation.call("POST", "/me/transfer", by=eva, json=asked, expect=201)
    path = f"/transfers/{transfer['id']}"
    await federation.call("POST", f"{path}/cancellation", by=eva, version=1, json={"reason": "不换了"})
    again = await federation.call("POST", "/me/transfer", by=eva, json=asked, expect=201)
    path = f"/transfers/{again['id']}"
    await federation.call("POST", f"{path}/release", by=pair[0], version=1)
    await federation.call("POST", f"{path}/acceptance", by=carl, version=2)
    own = await federation.call("GET", "/me/member", by=eva)
    assert (own["organisation_id"], own["status"]) == (new["id"], "active")


async def test_unanswered_it_escalates_and_the_upper_unit_decides_alone(federation: Federation) -> None:
    city = await federation.unit(kind="city")
    old = await federation.unit(city["id"], kind="county")
    new = await federation.unit(city["id"], kind="county")
    pair = await registrars(federation, old["id"])
    carl = await federation.user("registrar", new["id"])
    upper = await federation.user("registrar", city["id"])
    document = number()
    member = await admitted(federation, old["id"], pair, document_number=document)
    body = {"to_organisation_id": new["id"], "reason": "原单位已停业", "document_number": document}
    transfer = await federation.call("POST", "/transfers", by=carl, json=body, expect=201)
    path = f"/transfers/{transfer['id']}"
    await federation.call("POST", f"{path}/acceptance", by=upper, version=1, expect=409)
    federation.clock.advance(timedelta(days=15, seconds=1))
    await escalated(federation)
    late = await federation.call("GET", "/transfers?escalated=true", by=upper)
    assert [one["id"] for one in late["items"]] == [transfer["id"]]
    await federation.call("POST", f"{path}/acceptance", by=carl, version=1, expect=409)
    await federation.call("POST", f"{path}/acceptance", by=upper, version=1)
    assert (await federation.call("GET", f"/members/{member}", by=carl))["organisation_id"] == new["id"]


async def test_a_moved_unit_takes_members_and_transfers_along(federation: Federation) -> None:
    city, town = await federation.unit(kind="city"), await federation.unit(kind="city")
    old = await federation.unit(city["id"])
    new = await federation.unit(city["id"])
    pair = await registrars(federation, old["id"])
    carl = await federation.user("registrar", new["id"])
    watcher = await federation.user("auditor", town["id"])
    member = await admitted(federation, old["id"], pair)
    body = {"to_organisation_id": new["id"], "reason": "调动"}
    transfer = await federation.call(
        "POST", f"/members/{member}/transfers", by=pair[0], json=body, expect=201
    )
    await federation.call("GET", f"/members/{member}", by=watcher, expect=404)
    for unit in (old, new):
        await federation.call(
            "POST", f"/organisations/{unit['id']}/move", version=1, json={"parent_id": town["id"]}
        )
    federation.clock.advance(timedelta(seconds=6))
    assert (await federation.call("GET", f"/members/{member}", by=watcher))["status"] == "transferring"
    await federation.call(
        "POST", f"/transfers/{transfer['id']}/acceptance", by=carl, version=transfer["version"]
    )
    assert (await federation.call("GET", f"/members/{member}", by=watcher))["organisation_id"] == new["id"]


async def test_every_look_beyond_the_own_side_is_counted_also_in_vain(federation: Federation) -> None:
    unit = await federation.unit()
    carl = await federation.user("registrar", unit["id"])
    body = {"to_organisation_id": unit["id"], "reason": "入职", "document_number": number()}
    await federation.call("POST", "/transfers", by=carl, json=body, expect=404)
    await federation.call("POST", "/transfers", by=carl, json=body, expect=404)
    (count,) = await federation.rows("SELECT uses FROM daily_uses WHERE subject = $1 AND kind = 'hint'", carl)
    assert count["uses"] == 2
    traces = await federation.rows("SELECT * FROM audit_entries WHERE actor_subject = $1", carl)
    assert [trace["action"] for trace in traces] == ["member.looked-up", "member.looked-up"]
