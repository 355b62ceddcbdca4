"""Who sees what of a dossier: places and roles, row-level security alone, masks, the audit, and canaries."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import orjson
import pytest
from sqlalchemy import text

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.kernel.money import Fen
from shared.security.keys import KeyRing, new_ring_json
from shared.security.rotation import rewrap_batch
from tests.support.dossiers import ILLNESS, KnownPeople, Office, office_of, passport, person
from tests.support.tokens import Issuer
from tests.support.welfare import committed
from welfare_service.app import build
from welfare_service.dossiers import repository, sealing, use_cases
from welfare_service.dossiers.domain import UNMASK_DAILY_CAP
from welfare_service.dossiers.kinds import DocumentType
from welfare_service.invariants import DOSSIERS
from welfare_service.settings import Settings
from welfare_service.worker import WRAPPED_KEYS

_KEYS = text("""
    SELECT data_key_wrapped FROM dossiers WHERE id = :id
    UNION ALL SELECT data_key_wrapped FROM dossier_persons WHERE dossier_id = :id
""")
PHONE = "13987654321"
INCOME = 123_456_789_012


async def test_a_file_is_seen_from_its_unit_and_from_above_alone(office: Office, people: KnownPeople) -> None:
    below = await office.welfare.unit(office.unit)
    sibling = await office_of(office.welfare, people)
    made = await office.draft(organisation_id=str(below.id))
    own = await office.welfare.user("welfare_officer", below)
    for reader in (office.officer, own):
        assert (await office.get(made["id"], by=reader))["id"] == made["id"]
        listed = await office.welfare.call("GET", "/dossiers", by=reader)
        assert [item["id"] for item in listed["items"]] == [made["id"]]
    for stranger in (sibling.officer, "nobody"):
        await office.get(made["id"], by=stranger, expect=404)
    assert (await office.welfare.call("GET", "/dossiers", by=sibling.officer))["items"] == []
    query = {"organisation": str(below.id)}
    await office.welfare.refused("not-found", 404, "GET", "/dossiers", by=sibling.officer, params=query)
    await office.welfare.refused("not-allowed", 403, "GET", "/dossiers", by="nobody")
    path = f"/dossiers/{made['id']}"
    for method, rest, body in (
        ("PATCH", "", {"primary_cause": "other"}),
        ("POST", "/submission", None),
        ("POST", "/close", {"reason": "moved_away"}),
        ("POST", "/unmasking", {"reason": "核对"}),
    ):
        request: dict[str, Any] = {"version": 1} | ({"json": body} if body else {})
        await office.welfare.refused("not-found", 404, method, path + rest, by=sibling.officer, **request)
        await office.welfare.refused("not-allowed", 403, method, path + rest, by=office.approver, **request)
        await office.welfare.refused("not-found", 404, method, path + rest, by="nobody", **request)
    place = {"organisation_id": str(office.unit.id), "primary_cause": "illness", "head": person()}
    await office.welfare.refused("not-found", 404, "POST", "/dossiers", by=own, json=place)


@pytest.mark.parametrize("role", ["registrar", "treasurer", "organiser", "administrator"])
async def test_other_roles_see_no_dossier(office: Office, role: str) -> None:
    made = await office.draft()
    user = await office.welfare.user(role, office.unit)
    await office.get(made["id"], by=user, expect=403)
    await office.welfare.refused("not-allowed", 403, "GET", "/dossiers", by=user)
    await office.welfare.refused(
        "not-allowed", 403, "POST", "/dossiers/search", by=user, json={"number": made["number"]}
    )
    auditor = await office.welfare.user("auditor", office.unit)
    await office.get(made["id"], by=auditor)


async def audited(office: Office, dossier_id: str) -> list[tuple[str, str]]:
    rows = await office.welfare.rows(
        "SELECT action, actor_subject FROM audit_entries WHERE subject_id = $1 ORDER BY id", UUID(dossier_id)
    )
    return [(row["action"], row["actor_subject"]) for row in rows]


async def test_each_look_is_audited(office: Office) -> None:
    made = await office.draft()
    auditor = await office.welfare.user("auditor", office.unit)
    path = f"/dossiers/{made['id']}"
    for look in ("", "/history", "/decisions", "/reviews"):
        await office.welfare.call("GET", path + look, by=auditor)
    await office.welfare.call("GET", f"{path}/assessment", by=office.approver)
    await office.welfare.call("POST", f"{path}/unmasking", by=office.officer, json={"reason": "上门核实"})
    search = {"number": made["number"].lstrip("0")}
    found = await office.welfare.call("POST", "/dossiers/search", by=office.officer, json=search)
    assert [item["id"] for item in found["items"]] == [made["id"]]
    await office.get(made["id"], by="nobody", expect=404)
    assert await audited(office, made["id"]) == [
        ("dossier.drafted", office.officer),
        *[("dossier.read", auditor)] * 4,
        ("dossier.read", office.approver),
        ("dossier.unmask", office.officer),
        ("dossier.found", office.officer),
    ]


async def test_a_file_is_found_by_its_heads_document_alone(office: Office, people: KnownPeople) -> None:
    number = "EA7700" + passport()[-3:]
    made = await office.draft(head=person(document_number=number))
    other = "EB8800" + passport()[-3:]
    await office.step(made, "/persons", json=person("child", document_number=other), expect=201)
    sibling = await office_of(office.welfare, people)
    for last_four, by, expected in (
        (number[-4:], office.officer, [made["id"]]),
        (other[-4:], office.officer, []),
        (number[-4:], sibling.officer, []),
    ):
        found = await office.welfare.call("POST", "/dossiers/search", by=by, json={"last_four": last_four})
        assert [item["id"] for item in found["items"]] == expected
    for body in ({}, {"number": "1", "last_four": "1234"}):
        await office.welfare.refused(
            "dossier-search-one-key", 422, "POST", "/dossiers/search", by=office.officer, json=body
        )


async def test_unmasking_shows_all_and_has_a_daily_cap(office: Office) -> None:
    number = passport()
    made = await office.draft(head=person(document_number=number, phone=PHONE, illness=ILLNESS))
    made = await office.lines(made, ("income-wage", INCOME))
    path = f"/dossiers/{made['id']}/unmasking"
    shown = await office.welfare.call("POST", path, by=office.officer, json={"reason": "核对"})
    [head] = shown["persons"]
    assert (head["name"], head["document_number"]) == ("欧阳示例", number)
    assert (head["phone"], head["illness"], head["lines"][0]["amount_fen"]) == (PHONE, ILLNESS, INCOME)
    auditor = await office.welfare.user("auditor", office.unit)
    await office.welfare.refused("not-allowed", 403, "POST", path, by=auditor, json={"reason": "核对"})
    await office.welfare.call("POST", path, by=office.officer, json={}, expect=422)
    async with office.welfare.connected("owner") as connection:
        await connection.execute(
            "UPDATE daily_uses SET uses = $1 WHERE subject = $2", UNMASK_DAILY_CAP, office.officer
        )
    await office.welfare.refused(
        "dossier-unmask-cap-reached", 429, "POST", path, by=office.officer, json={"reason": "核对"}
    )
    office.welfare.clock.advance(timedelta(days=1))
    await office.welfare.call("POST", path, by=office.officer, json={"reason": "核对"})


async def test_no_canary_lies_open_in_any_table(office: Office) -> None:
    number = f"CANARY{passport()[-6:]}"
    head = person(document_number=number, phone=PHONE, illness=ILLNESS, name="金丝雀测试")
    made = await office.lines(await office.draft(head=head), ("income-wage", INCOME))
    await office.step(made, "/submission")
    await office.step(
        await office.get(made["id"]), "/return", by=office.approver, json={"reason": f"见{ILLNESS}"}
    )
    await office.decided(await office.get(made["id"]), "none")
    open_everywhere = []
    async with office.welfare.connected("owner") as connection:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE relkind = 'r' AND nspname = 'public'"
        )
        assert {"dossier_persons", "outbox_0", "audit_entries"} <= {row["relname"] for row in tables}
        for row in tables:
            for canary in (number, PHONE, ILLNESS, "金丝雀测试", str(INCOME)):
                query = f"SELECT count(*) FROM {row['relname']} t WHERE t::text LIKE $1 OR t::text LIKE $2"
                if await connection.fetchval(query, f"%{canary}%", f"%{canary.encode().hex()}%"):
                    open_everywhere.append((row["relname"], canary))
        # What is to be found is found, in the file and in the payload of its events.
        assert await connection.fetchval(
            "SELECT count(*) FROM dossiers t WHERE t::text LIKE $1", f"%{made['number']}%"
        )
        told = f"%{made['id'].encode().hex()}%"
        assert await connection.fetchval("SELECT count(*) FROM outbox t WHERE t::text LIKE $1", told)
    assert open_everywhere == []


TABLES = (
    "dossiers",
    "dossier_reviews",
    "dossier_persons",
    "dossier_lines",
    "dossier_history",
    "dossier_decisions",
    "dossier_gatherers",
    "dossier_aid",
)


async def test_row_level_security_alone(
    office: Office, people: KnownPeople, worker_database: Database
) -> None:
    """The statements name no path; both units have rows in every table."""
    other = await office_of(office.welfare, people)
    for one in (office, other):
        number = passport()
        member = people.member(number)
        made = await one.lines(await one.draft(head=person(document_number=number)), ("income-wage", 5))
        await one.decided(made)
        async with worker_database.write(Scope.everything()) as session:
            await use_cases.record_aid(session, member, Fen(5), office.welfare.by("x").today)
            await use_cases.add_review_task(session, member, "member-withdrawn", office.welfare.clock.now())
            await session.commit()
    async with office.welfare.connected("app") as connection:
        for table in TABLES:
            for scope in ("", "%", "1", "*/", f"{office.unit.path}%"):
                await connection.execute("SELECT set_config('app.scope', $1, false)", scope)
                assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0, (table, scope)
            await connection.execute("SELECT set_config('app.scope', $1, false)", office.unit.path)
            mine = await connection.fetchval(f"SELECT count(*) FROM {table}")
            await connection.execute("SELECT set_config('app.scope', $1, false)", other.unit.path)
            theirs = await connection.fetchval(f"SELECT count(*) FROM {table}")
            scopes = f"{office.unit.path},{other.unit.path}"
            await connection.execute("SELECT set_config('app.scope', $1, false)", scopes)
            both = await connection.fetchval(f"SELECT count(*) FROM {table}")
            assert mine > 0, table
            assert theirs > 0, table
            assert mine + theirs == both, table
        await connection.execute("SELECT set_config('app.scope', $1, false)", office.unit.path)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE dossiers SET path = $1", other.unit.path)
        for table in ("dossier_history", "dossier_decisions", "dossier_aid", "dossier_gatherers"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"DELETE FROM {table}")


async def test_rotation_rewraps_every_key_of_a_dossier(
    office: Office, settings: Settings, worker_database: Database
) -> None:
    number = passport()
    made = await office.lines(
        await office.draft(head=person(document_number=number)), ("income-wage", INCOME)
    )
    old = orjson.loads(settings.keys_file.read_bytes())
    fresh = orjson.loads(new_ring_json())["field"]["keys"]["f1"]
    newer = old | {"field": {"current": "f2", "keys": old["field"]["keys"] | {"f2": fresh}}}
    path = settings.keys_file.with_name("newer.json")
    path.write_bytes(orjson.dumps(newer))
    path.chmod(0o600)
    async with worker_database.write(Scope.everything()) as session:
        for place in WRAPPED_KEYS:
            after: UUID | None = UUID(int=0)
            while after is not None:
                after = await rewrap_batch(session, KeyRing.load(path), place, after)
        rows = (await session.execute(_KEYS, {"id": UUID(made["id"])})).all()
        await session.rollback()
    assert all(KeyRing.load(path).is_current(row[0]) for row in rows)
    assert len(rows) == 2


async def test_while_index_keys_are_rotated_nobody_enters_twice_and_all_are_found(
    office: Office, people: KnownPeople, settings: Settings, issuer: Issuer, worker_database: Database
) -> None:
    number = "EC" + passport()
    made = await office.draft(head=person(document_number=number))
    old = orjson.loads(settings.keys_file.read_bytes())
    fresh = orjson.loads(new_ring_json())["index"]["keys"]["i1"]
    path = settings.keys_file.with_name("rotated.json")
    rotated = {"current": "i2", "keys": old["index"]["keys"] | {"i2": fresh}}
    path.write_bytes(orjson.dumps(old | {"index": rotated}))
    path.chmod(0o600)
    ring = KeyRing.load(path)
    app = build(
        settings.model_copy(update={"keys_file": path}),
        clock=office.welfare.clock,
        key_source=issuer,
        membership=people,
    )
    again = {"organisation_id": str(office.unit.id), "primary_cause": "illness"}
    again["head"] = person(document_number=number)  # type: ignore[assignment]
    search = {"last_four": number[-4:]}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://welfare.test") as client,
    ):
        turned = replace(office.welfare, client=client)
        for is_done in (False, True):
            await turned.refused("person-in-dossier", 409, "POST", "/dossiers", by=office.officer, json=again)
            found = await turned.call("POST", "/dossiers/search", by=office.officer, json=search)
            assert [item["id"] for item in found["items"]] == [made["id"]]
            [row] = await turned.rows(
                "SELECT document_blind FROM dossier_persons WHERE id = $1", UUID(made["persons"][0]["id"])
            )
            current = sealing.document_blind(ring, DocumentType.PASSPORT, number)
            assert (row["document_blind"] == current) is is_done
            async with committed(worker_database, Scope.everything()) as session:
                for one in await repository.persons_after(session, UUID(int=0), 10_000):
                    if str(one.dossier_id) == made["id"]:
                        sealing.reindex(ring, one)


@pytest.mark.parametrize(
    ("what", "plant"),
    [
        ("dossiers", "DELETE FROM dossier_history WHERE dossier_id = $1"),
        ("dossiers.standing", "UPDATE dossier_persons SET is_standing = false WHERE dossier_id = $1"),
        ("dossiers.standing", "UPDATE dossiers SET status = 'closed' WHERE id = $1"),
        *(
            (
                f"dossier_persons.{column}",
                f"UPDATE dossier_persons SET {column} = {value} WHERE is_standing OR id = $1",
            )
            for column, value in (
                ("document_blind", "'\\x01'"),
                ("member_id", "'00000000-0000-7000-8000-000000000001'"),
            )
        ),
    ],
)
async def test_the_invariants_hold_and_name_who_breaks_them(office: Office, what: str, plant: str) -> None:
    made, _ = await office.draft(), await office.draft()
    [invariant] = [one for one in DOSSIERS if one.what == what]
    async with office.welfare.connected("owner") as connection:
        assert await connection.fetch(invariant.offenders) == []
        planting = connection.transaction()
        await planting.start()
        for index in ("uq_dossier_persons_document", "uq_dossier_persons_member"):
            await connection.execute(f"DROP INDEX {index}")
        await connection.execute(plant, made["id"])
        found = await connection.fetch(invariant.offenders)
        await planting.rollback()
    if what.startswith("dossier_persons"):
        assert len(found) == 1
    else:
        assert [str(row[0]) for row in found] == [made["id"]]
