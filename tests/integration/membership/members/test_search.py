"""Lists and search: what is found, in pages, and by which indexes."""

from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import make_url

from membership_service.members import repository
from membership_service.members.repository import Filters
from shared.contracts.membership import MemberStatus
from tests.integration.membership.members.people import admitted, applied, number, registrars
from tests.support.membership import Federation


async def found(federation: Federation, by: str, **body: Any) -> set[str]:
    reply = await federation.call("POST", "/members/search", by=by, json=body)
    return {member["name"] for member in reply["items"]}


async def test_search_by_everything_an_officer_knows(federation: Federation) -> None:
    unit = await federation.unit()
    pair = await registrars(federation, unit["id"])
    document = number()
    for name in ("单小明", "单晓敏", "曾国华", "欧阳修", "买买提·艾力"):
        await admitted(federation, unit["id"], pair, name=name)
    await admitted(federation, unit["id"], pair, name="查良", document_number=document, phone="13612345678")
    anna = pair[0]
    assert await found(federation, anna, name="单") == {"单小明", "单晓敏"}
    assert await found(federation, anna, name="单小明", exact=True) == {"单小明"}
    assert await found(federation, anna, name="单", exact=True) == set()
    assert await found(federation, anna, pinyin="shanxiaom") == {"单小明", "单晓敏"}
    assert await found(federation, anna, pinyin="Dan Xiao Ming") == {"单小明"}
    assert await found(federation, anna, pinyin="zengguohua", exact=True) == {"曾国华"}
    assert await found(federation, anna, pinyin="cengguohua", exact=True) == {"曾国华"}
    assert await found(federation, anna, pinyin="oyx") == {"欧阳修"}
    assert await found(federation, anna, pinyin="dxm") == {"单小明", "单晓敏"}
    assert await found(federation, anna, name="买买提•艾力") == {"买买提·艾力"}
    assert await found(federation, anna, last_four=document[-4:].lower()) == {"查良"}
    assert await found(federation, anna, phone="136-1234-5678") == {"查良"}
    assert await found(federation, anna, phone="13612345678", status="retained") == set()
    for body in (
        {},
        {"name": "单", "phone": "13612345678"},
        {"pinyin": "单"},
        {"last_four": "12345"},
        {"phone": "12"},
    ):
        await federation.call("POST", "/members/search", by=anna, json=body, expect=422)


async def test_pages_hold_everyone_once_and_their_cursors_are_sealed(federation: Federation) -> None:
    upper = await federation.unit()
    units = [await federation.unit(upper["id"], kind="branch") for _ in range(3)]
    anna = await federation.user("registrar", units[0]["id"])
    await federation.user("registrar", units[2]["id"], subject=anna)
    whole = await federation.user("registrar", upper["id"])
    for unit in units:
        for _ in range(3):
            await applied(federation, unit["id"], whole)
    for reader, count in ((whole, 9), (anna, 6)):
        ids: list[str] = []
        query = "/members?limit=2"
        while True:
            page = await federation.call("GET", query, by=reader)
            ids += [member["id"] for member in page["items"]]
            if page["next_cursor"] is None:
                break
            query = f"/members?limit=2&cursor={page['next_cursor']}"
        assert len(ids) == len(set(ids)) == count
    first = await federation.call("GET", "/members?limit=2", by=whole)
    cursor = first["next_cursor"]
    await federation.call("GET", f"/members?limit=2&status=active&cursor={cursor}", by=whole, expect=400)
    await federation.call("GET", f"/members?limit=2&cursor={cursor[:-2]}AA", by=whole, expect=400)
    await federation.call("GET", "/members?limit=-1", by=whole, expect=422)
    applicants = await federation.call(
        "GET", f"/members?organisation={units[1]['id']}&status=applied", by=whole
    )
    assert len(applicants["items"]) == 3


SEARCHES = {
    "list": Filters(),
    "applications": Filters(status=MemberStatus.APPLIED),
    "name": Filters(name="王伟1"),
    "whole name": Filters(name="王伟2000", exact=True),
    "pinyin": Filters(pinyin="ww1"),
    "whole pinyin": Filters(pinyin="ww2000", exact=True),
    "last four": Filters(last4_blinds=(b"\x00" * 16,)),
    "last four under two keys": Filters(last4_blinds=(b"\x00" * 16, b"\x02" * 16)),
    "phone": Filters(phone_blinds=(b"\x01" * 16,)),
}
FEDERATION, SUBTREE = 40_000, 20


async def _fill(federation: Federation, unit: str, other: str) -> str:
    """Members of two units, few of the one among many of the other; the path of the one."""
    owner = await asyncpg.connect(federation.urls.owner)
    try:
        await owner.execute(
            """
            INSERT INTO members (id, name, name_pinyin, name_initials, document_type, document_sealed, document_blind,
                last4_blind, phone_blind, data_key_wrapped, key_version, gender, employment_form, status, organisation_id, path,
                version, created_at, updated_at)
            SELECT gen_random_uuid(), '王伟' || n, 'ww' || n, 'w' || n, 'passport', 'x', sha256(n::text::bytea),
                substr(sha256((n % 9000)::text::bytea), 1, 16), sha256(n::text::bytea), 'x', 1, 'male', 'contract', 'active',
                o.id, o.path, 1, now(), now()
            FROM generate_series(1, $3::int) AS n
            JOIN organisations AS o ON o.id = CASE WHEN n % ($3::int / $4::int) = 0 THEN $1::uuid ELSE $2::uuid END
            """,
            UUID(unit),
            UUID(other),
            FEDERATION,
            SUBTREE,
        )
        await owner.execute("ANALYZE members")
        path: str = await owner.fetchval("SELECT path FROM organisations WHERE id = $1", UUID(unit))
        return path
    finally:
        await owner.close()


async def test_search_reads_an_index_range_as_the_application_role(federation: Federation) -> None:
    """In a small subtree of a large federation no query looks at more rows than the subtree has."""
    unit, other = await federation.unit(), await federation.unit()
    path = await _fill(federation, unit["id"], other["id"])
    dialect = make_url("postgresql+asyncpg://").get_dialect()()
    connection = await asyncpg.connect(federation.urls.app)
    try:
        await connection.execute("SELECT set_config('app.scope', $1, false)", path)
        for name, filters in SEARCHES.items():
            for after in (None, (path, UUID(int=1 << 127))):
                query = repository.listed(path, filters, after).limit(51).compile(dialect=dialect)
                values = [query.params[key] for key in query.positiontup or ()]
                rows = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {query}", *values)
                plan = "\n".join(row[0] for row in rows)
                assert "Seq Scan on members" not in plan, (name, plan)
                assert "Index Cond" in plan, (name, plan)
                removed = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed" in line]
                assert sum(removed) <= SUBTREE, (name, plan)
    finally:
        await connection.close()
