"""The two ways to an approval agree: what the quick one writes, and that it writes nothing where the ordinary one refuses."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from shared.contracts.membership import MemberStatus, Role
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.kernel.errors import DomainError
from shared.kernel.money import Fen
from shared.security.policy import Caller, Post
from shared.testing.waiting import eventually
from tests.support.aid import Aid
from tests.support.tokens import ISSUER
from tests.support.welfare import Member, Unit, committed
from welfare_service.cases import approving, grounds, use_cases
from welfare_service.cases.domain import AidCase
from welfare_service.cases.schemas import CaseReply
from welfare_service.membership_client import MemberDetail

#: What differs between two cases that are alike.
_OF_EACH = {
    "id",
    "case_number",
    "member_id",
    "data_key_wrapped",
    "reason_sealed",
    "payee_name_sealed",
    "account_sealed",
}
_OF_EACH |= {
    "case_id",
    "entry_id",
    "subject_id",
    "event_id",
    "key",
    "version",
    "xid",
    "slot",
    "traceparent",
    "created_at",
    "link",
    "hash",
}
_OF_EACH |= {"request_id", "at", "available_fen", "reserved_fen", "submitted_at", "previous"}


@pytest.fixture
async def database(founded: tuple[DatabaseUrls, Unit]) -> AsyncIterator[Database]:
    """As the process has it."""
    database = Database(founded[0].app, pool_size=16, application_name="test")
    yield database
    await database.close()


def _caller(aid: Aid, subject: str | None = None, unit: Unit | None = None) -> Caller:
    unit = unit or aid.unit
    post = Post(Role.APPROVER, unit.id, unit.path)
    return Caller(ISSUER, subject or aid.approver, (post,), aid.welfare.clock.now())


def _detail(member_id: UUID | str, **changed: Any) -> MemberDetail:
    detail = MemberDetail(
        UUID(str(member_id)), "王小明", date(1990, 6, 15), MemberStatus.ACTIVE, UUID(int=0), 1
    )
    return MemberDetail(**{name: changed.get(name, getattr(detail, name)) for name in detail.__slots__})


async def _quick(
    database: Database, aid: Aid, case: dict[str, Any], amount: int | None = None, **who: Any
) -> AidCase | None:
    detail = who.pop("detail", None) or _detail(case["member_id"])
    caller = _caller(aid, **who)
    granted = None if amount is None else Fen(amount)
    by = aid.welfare.by(caller.subject)
    return await approving.approve(database, caller, by, UUID(case["id"]), case["version"], granted, detail)


async def _ordinary(
    database: Database, aid: Aid, case: dict[str, Any], amount: int | None = None, **who: Any
) -> AidCase:
    detail = who.pop("detail", None) or _detail(case["member_id"])
    caller = _caller(aid, **who)
    granted = None if amount is None else Fen(amount)
    by = aid.welfare.by(caller.subject)
    async with committed(database, caller.scope()) as session:
        session.act_as(caller.issuer, caller.subject)
        return await use_cases.approve(
            session, caller, by, UUID(case["id"]), case["version"], granted, detail
        )


async def _written(aid: Aid, case: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What stands of a case everywhere, without what is each one's own."""
    asked = {
        "cases": "SELECT * FROM cases WHERE id = $1",
        "history": "SELECT * FROM case_history WHERE case_id = $1 ORDER BY version",
        "audit": "SELECT * FROM audit_entries WHERE subject_id = $1 ORDER BY id",
        "outbox": "SELECT * FROM outbox WHERE key = $1 ORDER BY sequence",
        "entries": "SELECT * FROM journal_entries WHERE case_id = $1",
        "lines": """
            SELECT l.* FROM journal_lines l JOIN journal_entries e ON e.id = l.entry_id
            WHERE e.case_id = $1 ORDER BY account
        """,
    }
    found = {}
    for name, sql in asked.items():
        rows = await aid.welfare.rows(sql, UUID(case["id"]))
        found[name] = [_plain(dict(row)) for row in rows]
    return found


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    if "payload" in row:
        data = orjson.loads(row["payload"])
        data["state"] = {name: value for name, value in data["state"].items() if name not in _state_of_each}
        row["payload"] = data
    if isinstance(row.get("decision"), str):
        row["decision"] = orjson.loads(row["decision"])
    # The audit entry's own number is an id of the table.
    return {name: value for name, value in row.items() if name not in _OF_EACH}


_state_of_each = {"case_id", "case_number", "member_id"}


@pytest.mark.parametrize("amount", [None, 90_000])
@pytest.mark.parametrize("place", ["at-the-budget", "below-the-budget"])
async def test_both_ways_write_the_same(aid: Aid, database: Database, amount: int | None, place: str) -> None:
    programme = await aid.programme(
        eligibility={"all": [{"within": str(aid.unit.id)}, {"age": {"min": 18}}]},
        kind="warmth",
        cap_per_year_fen=400_000,
    )
    lower = await aid.welfare.unit(aid.unit) if place == "below-the-budget" else aid.unit
    approver = await aid.welfare.user("approver", lower)
    one, other = [await aid.submitted(programme, await aid.member(at=lower)) for _ in range(2)]
    before = await aid.budget()
    quick = await _quick(database, aid, one, amount, subject=approver, unit=lower)
    ordinary = await _ordinary(database, aid, other, amount, subject=approver, unit=lower)
    assert quick is not None
    own = {"id", "case_number", "member_id"}
    assert CaseReply.of(quick).model_dump(exclude=own) == CaseReply.of(ordinary).model_dump(exclude=own)
    written = await _written(aid, one)
    assert written == await _written(aid, other)
    assert {name: len(rows) for name, rows in written.items()} == {
        "cases": 1, "history": 3, "audit": 3, "outbox": 3, "entries": 1, "lines": 2,
    }  # fmt: skip
    granted = 2 * (amount or 100_000)
    assert await aid.budget() == (before[0], before[1] + granted, 0)
    shown = await aid.welfare.call("GET", f"/cases/{one['id']}", by=aid.officer)
    assert (shown["stage"], shown["version"]) == ("approved", 3)


async def _refusals(aid: Aid) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Code -> a case that is refused with it, and what is different about the approval."""
    plain = await aid.programme()
    large = await aid.programme(cap_per_time_fen=30_000_000, kind="medical")
    capped = await aid.programme(cap_per_year_fen=300_000)
    once = await aid.programme(eligibility={"not_helped": {"months": 6, "by": "this"}})
    both = await aid.welfare.user("approver", aid.unit, subject=aid.officer)
    beneficiary = await aid.member(subject=aid.approver)
    member = await aid.member()
    helped = await aid.member()
    last = [await aid.submitted(capped, member, requested_fen=200_000) for _ in range(2)]
    twice = [await aid.submitted(once, helped) for _ in range(2)]
    flagged = await aid.submitted(plain, await aid.member())
    async with aid.welfare.connected() as connection:
        await connection.execute(
            "UPDATE cases SET flagged = true, flag_reason = 'member-withdrawn', flagged_at = now() WHERE id = $1",
            UUID(flagged["id"]),
        )
    await aid.approve(last[0])
    await aid.approve(twice[0])
    top = {"subject": await aid.welfare.user("approver", aid.welfare.top), "unit": aid.welfare.top}
    stranger = await aid.welfare.unit()
    poor = await aid.submitted(large, await aid.member(), requested_fen=11_000_000)
    stale = await aid.submitted(plain, await aid.member())
    case = await aid.submitted(plain, await aid.member())
    return {
        "four-eyes": (case, {"subject": both}),
        "not-found": (case, {"unit": stranger}),
        "amount-over-request": (case, {"amount": 100_001}),
        "stale-replica": (case, {"detail": _detail(case["member_id"], sequence=2)}),
        "member-belongs-nowhere": (
            case,
            {"detail": _detail(case["member_id"], status=MemberStatus.WITHDRAWN)},
        ),
        "stale-version": (stale | {"version": 1}, {}),
        "case-flagged": (flagged, {}),
        "case-not-submitted": (await aid.case(plain, await aid.member()), {}),
        "year-cap-reached": (last[1], {}),
        "case-not-eligible": (twice[1], {}),
        "approval-level-too-low": (poor, {}),
        "budget-exhausted": (poor, top),
        "four-eyes-of-the-beneficiary": (await aid.submitted(plain, beneficiary), {}),
    }


async def test_where_the_ordinary_way_refuses_the_quick_one_writes_nothing(
    aid: Aid, database: Database
) -> None:
    for code, (case, different) in (await _refusals(aid)).items():
        before = await _written(aid, case), await aid.budget()
        assert await _quick(database, aid, case, **dict(different)) is None, code
        with pytest.raises(DomainError) as refused:
            await _ordinary(database, aid, case, **dict(different))
        assert code.startswith(refused.value.code), code
        assert (await _written(aid, case), await aid.budget()) == before, code


async def test_a_request_takes_the_quick_way(aid: Aid, monkeypatch: pytest.MonkeyPatch) -> None:
    case = await aid.submitted(await aid.programme(), await aid.member())

    async def never(*_: object) -> None:
        raise AssertionError("the ordinary way")

    monkeypatch.setattr(use_cases, "approve", never)
    assert (await aid.approve(case))["stage"] == "approved"


async def _in_between(
    monkeypatch: pytest.MonkeyPatch,
    database: Database,
    aid: Aid,
    case: dict[str, Any],
    sql: str,
    *arguments: Any,
) -> AidCase | None:
    """Approve the case while, after it was judged, somebody else does something."""
    read = grounds.read

    async def reading(*asked: Any) -> Any:
        found = await read(*asked)
        async with aid.welfare.connected() as connection:
            await connection.execute(sql, *arguments)
        return found

    monkeypatch.setattr(grounds, "read", reading)
    try:
        return await _quick(database, aid, case)
    finally:
        monkeypatch.setattr(grounds, "read", read)


_ITS_BUDGET = "(SELECT p.budget_id FROM programmes p JOIN cases c ON c.programme_id = p.id WHERE c.id = $1)"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE cases SET version = version + 1 WHERE id = $1",
        "UPDATE cases SET path = '1/' WHERE id = $1",
        """UPDATE cases SET approved_on = '2026-01-05', approved_fen = 1
           WHERE member_id = (SELECT member_id FROM cases WHERE id = $1) AND id <> $1""",
        f"UPDATE budgets SET reserved_fen = allocated_fen WHERE id = {_ITS_BUDGET}",
        f"UPDATE budgets SET path = '7/' WHERE id = {_ITS_BUDGET}",
        f"UPDATE budgets SET year = 2025 WHERE id = {_ITS_BUDGET}",
    ],
    ids=["version", "place", "aid", "budget-empty", "budget-moved", "budget-of-another-year"],
)
async def test_what_changes_after_the_judgement_stops_the_quick_way(
    aid: Aid, database: Database, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    programme = await aid.programme()
    member = await aid.member()
    case, _ = [await aid.submitted(programme, member) for _ in range(2)]
    assert await _in_between(monkeypatch, database, aid, case, change, UUID(case["id"])) is None
    [row] = await aid.welfare.rows("SELECT stage FROM cases WHERE id = $1", UUID(case["id"]))
    assert row["stage"] == "submitted"
    assert not await aid.welfare.rows("SELECT FROM journal_entries WHERE case_id = $1", UUID(case["id"]))
    assert len(await aid.welfare.events(case["id"])) == 2


async def test_nothing_in_between_is_the_allowed_twin(
    aid: Aid, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = await aid.submitted(await aid.programme(), await aid.member())
    assert await _in_between(monkeypatch, database, aid, case, "SELECT 1") is not None


async def test_the_cap_of_a_member_is_kept_by_quick_approvals_at_once(aid: Aid, database: Database) -> None:
    """Each judges before any has written; the member's turn lets through what still fits."""
    programme = await aid.programme(cap_per_year_fen=300_000)
    members: list[Member] = [await aid.member() for _ in range(4)]
    waiting = [await aid.submitted(programme, member) for member in members for _ in range(6)]

    async def approve(case: dict[str, Any]) -> str:
        try:
            done = await _quick(database, aid, case) or await _ordinary(database, aid, case)
        except DomainError as refused:
            return refused.code
        return done.stage

    outcomes = await asyncio.gather(*(approve(case) for case in waiting))
    assert sorted(outcomes) == ["approved"] * 12 + ["year-cap-reached"] * 12
    assert (await aid.budget())[1] == 1_200_000


async def test_the_budgets_row_is_locked_last(aid: Aid, database: Database) -> None:
    """While the budget is held by another, the approval has done all else: its case is locked, and nobody waits for it."""
    case = await aid.submitted(await aid.programme(), await aid.member())
    async with aid.welfare.connected() as holder:
        held = holder.transaction()
        await held.start()
        await holder.execute("SELECT FROM budgets WHERE id = $1 FOR UPDATE", UUID(aid.budget_id))
        approval = asyncio.create_task(_quick(database, aid, case))
        async with aid.welfare.connected() as other, asyncio.timeout(10):
            while True:
                try:
                    await other.execute("SELECT FROM cases WHERE id = $1 FOR UPDATE NOWAIT", UUID(case["id"]))
                except asyncpg.LockNotAvailableError:
                    break
        await held.rollback()
    assert await approval is not None


async def test_who_waits_for_a_budget_is_approved_in_one_transaction(
    aid: Aid, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each for itself: who has changed meanwhile is left out, and of one member's cases only the first goes."""
    programme, twice = await aid.programme(), await aid.member()
    first, *good = [await aid.submitted(programme, await aid.member()) for _ in range(4)]
    same = [await aid.submitted(await aid.programme(name=name), twice) for name in ("大病救助", "助学")]
    stale = await aid.submitted(programme, await aid.member())
    read, judged = grounds.read, 0

    async def counted(*arguments: Any) -> Any:
        nonlocal judged
        found = await read(*arguments)
        judged += 1
        return found

    async def so_many_judged(number: int) -> None:
        await eventually(lambda: judged == number)

    monkeypatch.setattr(grounds, "read", counted)
    async with aid.welfare.connected() as holder:
        held = holder.transaction()
        await held.start()
        await holder.execute("SELECT FROM budgets WHERE id = $1 FOR UPDATE", UUID(aid.budget_id))
        leading = asyncio.create_task(_quick(database, aid, first))
        await so_many_judged(1)
        waiting = []
        for number, case in enumerate((*good, *same, stale), 2):
            waiting.append(asyncio.create_task(_quick(database, aid, case)))
            await so_many_judged(number)
        await holder.execute("UPDATE cases SET version = version + 1 WHERE id = $1", UUID(stale["id"]))
        await held.commit()
    outcomes = [await approval is not None for approval in (leading, *waiting)]
    assert outcomes == [True, *[True] * len(good), True, False, False]
    together = [UUID(case["id"]) for case in (*good, same[0])]
    [row] = await aid.welfare.rows(
        """
        SELECT count(*) AS entries, count(DISTINCT xid) AS transactions FROM journal_entries
        WHERE case_id = ANY ($1::uuid[])
        """,
        together,
    )
    assert (row["entries"], row["transactions"]) == (len(together), 1)
    for case in (first, *good[1:]):
        assert await _written(aid, case) == await _written(aid, good[0])
    _, reserved, _ = await aid.budget()
    assert reserved == sum(case["requested_fen"] for case in (first, *good, same[0]))


async def test_a_budget_with_money_for_some_of_those_who_wait_serves_exactly_so_many(
    aid: Aid, database: Database
) -> None:
    programme = await aid.programme()
    cases = [await aid.submitted(programme, await aid.member()) for _ in range(12)]
    allocated, _, _ = await aid.budget()
    amount = cases[0]["requested_fen"]
    async with aid.welfare.connected() as owner:
        await owner.execute(
            "UPDATE budgets SET reserved_fen = allocated_fen - $1 WHERE id = $2",
            5 * amount,
            UUID(aid.budget_id),
        )
    approvals = await asyncio.gather(*(_quick(database, aid, case) for case in cases))
    assert sum(approval is not None for approval in approvals) == 5
    assert (await aid.budget())[1] == allocated
