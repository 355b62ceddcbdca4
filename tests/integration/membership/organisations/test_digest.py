"""The digest by which `verify` compares this service with replicas."""

from typing import Any

from tests.support.membership import ROOT_ADMIN, Federation


async def digest(federation: Federation, kind: str, *, by: str = ROOT_ADMIN, expect: int = 200) -> Any:
    reply = await federation.client.get(f"/internal/v1/digest/{kind}", headers=federation.issuer.headers(by))
    assert reply.status_code == expect, reply.text
    return reply.json()


async def test_a_digest_changes_in_the_bucket_of_the_changed_unit(federation: Federation) -> None:
    county = await federation.unit()
    before = await digest(federation, "organisations")
    body = {"name": "新名", "kind": "county"}
    await federation.call("PATCH", f"/organisations/{county['id']}", version=1, json=body)
    after = await digest(federation, "organisations")
    bucket = str(int(county["id"][-2:], 16))
    changed = {
        number for number in before["buckets"] if before["buckets"][number] != after["buckets"][number]
    }
    assert changed == {bucket}
    held = await federation.rows("SELECT count(*) FROM organisations")
    assert (before["count"], after["count"]) == (held[0]["count"], held[0]["count"])


async def test_every_kind_that_is_owned_has_a_digest_for_overseers(federation: Federation) -> None:
    registrar = await federation.user("registrar", federation.root_id)
    for kind in ("organisations", "enterprises", "posts", "members"):
        assert (await digest(federation, kind))["kind"] == kind
        await digest(federation, kind, by=registrar, expect=403)
    await digest(federation, "nothing", expect=404)
