"""Which account is which member: linked, told to others, taken away; one account is one member."""

import json
from uuid import UUID

from tests.integration.membership.members.people import admitted, registrars
from tests.support.membership import Federation
from tests.support.tokens import ISSUER


async def told(federation: Federation, member: str) -> list[object]:
    """The `user` of every event of a member, in order."""
    rows = await federation.rows("SELECT payload FROM outbox WHERE key = $1 ORDER BY id", UUID(member))
    return [json.loads(row["payload"])["state"]["user"] for row in rows]


async def test_an_account_is_linked_told_and_taken_away(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    member = await admitted(federation, unit["id"], pair)
    body = {"subject": f"account-{member}"}
    await federation.call("PUT", f"/members/{member}/user", by=pair[0], version=2, json=body)
    own = await federation.call("GET", "/me/member", by=body["subject"])
    assert own["id"] == member
    unchanged = await federation.call(
        "PUT", f"/members/{member}/user", by=pair[0], version=3, json=body, expect=422
    )
    assert unchanged["code"] == "member-unchanged"
    await federation.call("DELETE", f"/members/{member}/user", by=pair[0], version=3)
    await federation.call("GET", "/me/member", by=body["subject"], expect=404)
    again = await federation.call("DELETE", f"/members/{member}/user", by=pair[0], version=4, expect=409)
    assert again["code"] == "member-without-user"
    linked = {"issuer": ISSUER, "subject": body["subject"]}
    assert await told(federation, member) == [None, None, linked, None]
    assert (await federation.events(member))[2:] == [("member.changed.v1", 3), ("member.changed.v1", 4)]
    traces = await federation.rows(
        "SELECT details FROM audit_entries WHERE subject_id = $1 AND action = 'member.changed'", UUID(member)
    )
    assert [json.loads(trace["details"]) for trace in traces] == [linked, linked]


async def test_an_account_is_one_member(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    one, other = [await admitted(federation, unit["id"], pair) for _ in range(2)]
    body = {"issuer": ISSUER, "subject": f"account-{one}"}
    await federation.call("PUT", f"/members/{one}/user", by=pair[0], version=2, json=body)
    refused = await federation.call(
        "PUT", f"/members/{other}/user", by=pair[0], version=2, json=body, expect=409
    )
    assert refused["code"] == "user-already-member"
    await federation.call("DELETE", f"/members/{one}/user", by=pair[0], version=3)
    await federation.call("PUT", f"/members/{other}/user", by=pair[0], version=2, json=body)


async def test_only_a_registrar_who_saw_the_version_links(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    officer = await federation.user("welfare_officer", unit["id"])
    member = await admitted(federation, unit["id"], pair)
    body = {"subject": f"account-{member}"}
    await federation.call("PUT", f"/members/{member}/user", by=officer, version=2, json=body, expect=403)
    await federation.call("DELETE", f"/members/{member}/user", by=officer, version=2, expect=403)
    await federation.call("PUT", f"/members/{member}/user", by=pair[0], version=1, json=body, expect=412)
    await federation.call("PUT", f"/members/{member}/user", by=pair[0], json=body, expect=428)
    await federation.call("PUT", f"/members/{member}/user", by=pair[0], version=2, json=body)
