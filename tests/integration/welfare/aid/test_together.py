"""Many at once: caps are kept to the fen, one decision wins, and what waits for whom stays cheap to ask."""

import asyncio
from typing import Any
from uuid import UUID

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.kernel.ids import new_id
from tests.support.aid import Aid
from tests.support.welfare import Welfare, committed
from welfare_service.cases import payments, repository
from welfare_service.cases.repository import Rights

MANY = 12


async def test_a_cap_of_the_year_is_kept_by_decisions_at_once(aid: Aid) -> None:
    programme = await aid.programme(cap_per_year_fen=500_000)
    member = await aid.member()
    waiting = [await aid.submitted(programme, member, requested_fen=100_000) for _ in range(MANY)]
    replies = await asyncio.gather(*(_approve(aid, case) for case in waiting))
    assert sorted(replies) == ["approved"] * 5 + ["year-cap-reached"] * (MANY - 5)
    assert await aid.budget() == (10_000_000, 500_000, 0)


async def test_the_last_fen_is_granted_once(aid: Aid) -> None:
    programme = await aid.programme(cap_per_time_fen=2_000_000)
    waiting = [
        await aid.submitted(programme, await aid.member(), requested_fen=2_000_000) for _ in range(MANY)
    ]
    replies = await asyncio.gather(*(_approve(aid, case) for case in waiting))
    assert sorted(replies) == ["approved"] * 5 + ["budget-exhausted"] * (MANY - 5)
    assert await aid.budget() == (10_000_000, 10_000_000, 0)


async def test_of_two_decisions_at_once_one_wins(aid: Aid) -> None:
    programme = await aid.programme()
    for _ in range(5):
        case = await aid.submitted(programme, await aid.member())
        steps = [
            ("approval", {}),
            ("rejection", {"reason": "x"}),
            ("return", {"reason": "x"}),
            ("approval", {}),
        ]
        replies = await asyncio.gather(
            *(
                aid.welfare.send("POST", f"/cases/{case['id']}/{verb}", by=aid.approver, version=2, json=body)
                for verb, body in steps
            )
        )
        assert sorted(reply.status_code for reply in replies) == [200, 412, 412, 412]


async def test_a_payment_and_a_cancellation_at_once(aid: Aid, worker_database: Database) -> None:
    programme = await aid.programme()

    async def disburse(case_id: str) -> None:
        async with committed(worker_database, Scope.everything()) as session:
            await payments.begin_disbursing(session, [UUID(case_id)], aid.welfare.by(aid.treasurer))

    reserved = 0
    for _ in range(5):
        case = await aid.approved(programme, await aid.member())
        cancelled, disbursed = await asyncio.gather(
            aid.welfare.send(
                "POST",
                f"/cases/{case['id']}/cancellation",
                by=aid.approver,
                version=3,
                json={"reason": "重复"},
            ),
            disburse(case["id"]),
            return_exceptions=True,
        )
        assert not isinstance(cancelled, BaseException)
        assert (cancelled.status_code == 200) == isinstance(disbursed, Exception)
        reserved += cancelled.status_code != 200
    assert (await aid.budget())[1] == reserved * 100_000


async def test_everybody_finds_what_waits_for_him(aid: Aid) -> None:
    programme = await aid.programme(cap_per_time_fen=3_000_000, kind="medical")
    lower = await aid.welfare.unit(aid.unit)
    lower_officer = await aid.welfare.user("welfare_officer", lower)
    lower_approver = await aid.welfare.user("approver", lower)
    drafted = await aid.case(programme, await aid.member())
    small = await aid.submitted(programme, await aid.member())
    large = await aid.case(programme, await aid.member(at=lower), by=lower_officer, requested_fen=2_500_000)
    large = await aid.step(large, "submission", by=lower_officer)
    returned = await aid.step(
        await aid.submitted(programme, await aid.member()), "return", by=aid.approver, reason="x"
    )
    approved = await aid.approved(programme, await aid.member())
    assert await _work(aid, aid.officer) == {("case.mend", drafted["id"]), ("case.mend", returned["id"])}
    assert await _work(aid, aid.approver) == {("case.approve", small["id"]), ("case.approve", large["id"])}
    assert await _work(aid, lower_approver) == set()
    assert await _work(aid, aid.treasurer) == {("case.pay", approved["id"])}
    assert await _work(aid, await aid.welfare.user("approver", await aid.welfare.unit())) == set()
    listed = await aid.welfare.call("GET", "/cases?holder=mine", by=aid.approver)
    assert {item["id"] for item in listed["items"]} == {small["id"], large["id"]}
    both = await aid.welfare.user("approver", aid.unit, subject=aid.officer)
    # Who sent a case is not asked to decide it.
    assert ("case.approve", small["id"]) not in await _work(aid, both)


async def test_work_is_found_by_an_index_of_what_waits(aid: Aid, app_database: Database) -> None:
    """As the application role, in what the repository really sends, among many cases that are over."""
    programme = await aid.programme()
    await aid.submitted(programme, await aid.member())
    await _finished(aid.welfare, aid, programme["id"], 20_000)
    rights = Rights(
        user=("i", "s"), changes=(aid.unit.path,), approves=(aid.unit.path,), pays=(aid.unit.path,)
    )
    async with app_database.read(Scope((aid.unit.path,))) as session:
        statements = repository.work_statements(rights, 201)
        for kind, statement in statements:
            sql = statement.compile(
                dialect=session.get_bind().dialect, compile_kwargs={"literal_binds": True}
            )
            rows = await (await session.connection()).exec_driver_sql(f"EXPLAIN (COSTS OFF) {sql}")
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan on cases" not in plan, (kind, plan)
            assert any(f"ix_cases_{name}" in plan for name in ("waiting", "due", "mendable")), (kind, plan)
        assert len(await repository.work(session, rights, 201)) == 1


async def _finished(welfare: Welfare, aid: Aid, programme_id: str, count: int) -> None:
    async with welfare.connected("owner") as connection:
        await connection.execute(
            """
            INSERT INTO cases (id, case_number, organisation_id, path, programme_id, member_id, stage, stage_since,
                levels_up, requested_fen, key_version, flagged, drafted_by_issuer, drafted_by_subject, is_own, version,
                created_at, updated_at)
            SELECT gen_random_uuid(), $1 || n, $2, $3, $4, gen_random_uuid(), 'rejected', now(), 0, 1, 1, false, 'i', 's',
                false, 1, now(), now()
            FROM generate_series(1, $5::int) AS n
            """,
            f"{new_id()}-",
            aid.unit.id,
            aid.unit.path,
            UUID(programme_id),
            count,
        )
        await connection.execute("ANALYZE cases")


async def _approve(aid: Aid, case: dict[str, Any]) -> str:
    reply = await aid.welfare.send(
        "POST", f"/cases/{case['id']}/approval", by=aid.approver, version=case["version"], json={}
    )
    body = reply.json()
    return str(body.get("code") or body["stage"])


async def _work(aid: Aid, user: str) -> set[tuple[str, str]]:
    reply = await aid.welfare.client.get("/internal/v1/work", headers=aid.welfare.issuer.headers(user))
    assert reply.status_code == 200, reply.text
    assert not reply.json()["more"]
    return {(item["kind"], item["id"]) for item in reply.json()["items"] if item["kind"].startswith("case.")}
