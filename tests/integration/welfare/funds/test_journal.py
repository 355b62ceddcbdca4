"""The journal under many hands, and against whoever would change it."""

import asyncio
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest

from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.kernel.errors import Conflict, DomainError
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from shared.security.keys import KeyRing
from shared.web.invariants import examine
from tests.integration.welfare.funds.test_budgets import figures, new_budget, reserve
from tests.support.welfare import Unit, Welfare, committed
from welfare_service.funds import use_cases
from welfare_service.invariants import INVARIANTS
from welfare_service.settings import Settings

LAST = 64


async def _outcome(work: object) -> str:
    try:
        await work  # type: ignore[misc]
    except DomainError as refused:
        return refused.code
    return "done"


async def test_64_reservations_at_once_take_the_last_fen_exactly(
    welfare: Welfare, founded: tuple[DatabaseUrls, Unit]
) -> None:
    unit = await welfare.unit()
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit, 40 * 7 + 3)
    database = Database(founded[0].app, pool_size=LAST, application_name="test")
    try:

        async def approve() -> None:
            async with committed(database, Scope((unit.path,))) as session:
                by = welfare.by("approver")
                await use_cases.reserve(session, UUID(made["id"]), new_id(), Fen(7), by)

        outcomes = await asyncio.gather(*(_outcome(approve()) for _ in range(LAST)))
    finally:
        await database.close()
    assert sorted(outcomes) == ["budget-exhausted"] * (LAST - 40) + ["done"] * 40
    assert await figures(welfare, treasurer, made["id"]) == (283, 280, 0, 3)
    [row] = await welfare.rows(
        "SELECT count(*) AS entries, max(version) AS newest FROM journal_lines WHERE budget_id = $1 AND account = 'available'",
        UUID(made["id"]),
    )
    assert (row["entries"], row["newest"]) == (41, 41)


async def test_a_case_is_reserved_for_once_and_that_ends_once(
    welfare: Welfare, worker_database: Database
) -> None:
    unit = await welfare.unit()
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit, 1_000)
    budget_id = UUID(made["id"])
    by = welfare.by("approver")
    case = await reserve(welfare, worker_database, made["id"], 100)

    async def again(verb: str, case: UUID = case) -> None:
        async with committed(worker_database, Scope.everything()) as session:
            match verb:
                case "reserve":
                    await use_cases.reserve(session, budget_id, case, Fen(100), by)
                case "release":
                    await use_cases.release(session, budget_id, case, by)
                case _:
                    await use_cases.settle(session, budget_id, case, Fen(100), by)

    assert await _outcome(again("reserve")) == "case-already-reserved"
    ends = await asyncio.gather(
        *(_outcome(again(verb)) for verb in ("release", "settle", "release", "settle"))
    )
    assert sorted(ends) == ["case-money-settled"] * 3 + ["done"]
    _, reserved, paid, _ = await figures(welfare, treasurer, made["id"])
    assert reserved == 0
    assert paid in {0, 100}
    for verb in ("release", "settle"):
        assert await _outcome(again(verb, new_id())) == "nothing-reserved"


async def test_no_more_is_paid_than_reserved(welfare: Welfare, worker_database: Database) -> None:
    unit = await welfare.unit()
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit, 1_000)
    case = await reserve(welfare, worker_database, made["id"], 100)
    with pytest.raises(Conflict, match="payment-above-reservation"):
        async with committed(worker_database, Scope.everything()) as session:
            await use_cases.settle(session, UUID(made["id"]), case, Fen(101), welfare.by("bank"))
    assert await figures(welfare, treasurer, made["id"]) == (1_000, 100, 0, 900)


async def test_an_approver_below_reserves_in_a_budget_that_he_does_not_see(
    welfare: Welfare, app_database: Database
) -> None:
    unit = await welfare.unit()
    below = await welfare.unit(unit)
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit, 1_000)
    case = new_id()
    by = welfare.by("approver")
    for verb in ("reserve", "release"):
        async with committed(app_database, Scope((below.path,))) as session:
            if verb == "reserve":
                await use_cases.reserve(session, UUID(made["id"]), case, Fen(100), by)
            else:
                await use_cases.release(session, UUID(made["id"]), case, by)
        reserved = (await figures(welfare, treasurer, made["id"]))[1]
        assert reserved == (100 if verb == "reserve" else 0)
    with pytest.raises(DomainError, match="not-found"):
        async with committed(app_database, Scope((below.path,))) as session:
            await use_cases.reserve(session, new_id(), new_id(), Fen(100), by)


async def test_allocations_crosswise_do_not_block_each_other(
    welfare: Welfare, app_database: Database
) -> None:
    unit = await welfare.unit()
    below = await welfare.unit(unit)
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit, 1_000)
    path = f"/budgets/{made['id']}"
    body = {"organisation_id": str(below.id), "amount_fen": 10}
    calls = [welfare.send("POST", f"{path}/allocations", by=treasurer, json=body) for _ in range(20)]
    replies = await asyncio.gather(*calls)
    assert {reply.status_code for reply in replies} == {201}
    assert await figures(welfare, treasurer, made["id"]) == (800, 0, 0, 800)
    assert await figures(welfare, treasurer, replies[0].json()["id"]) == (200, 0, 0, 200)


@pytest.mark.parametrize("role", ["app", "worker", "owner"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal_lines SET amount_fen = 1",
        "UPDATE journal_entries SET reason = 'x'",
        "DELETE FROM journal_lines",
        "DELETE FROM journal_entries",
        "TRUNCATE journal_lines",
        "TRUNCATE journal_entries CASCADE",
    ],
)
async def test_nobody_changes_the_journal(welfare: Welfare, role: str, statement: str) -> None:
    async with welfare.connected(role) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


LINE = """
    INSERT INTO journal_lines (budget_id, version, account, entry_id, amount_fen, available_fen, reserved_fen, paid_fen)
    VALUES ($1, $2, $3, $4, $5, 0, 0, 0)
"""


async def test_the_worker_itself_cannot_write_what_does_not_balance(welfare: Welfare) -> None:
    unit = await welfare.unit()
    treasurer = await welfare.user("treasurer", unit)
    budget_id = UUID((await new_budget(welfare, treasurer, unit))["id"])
    [first] = await welfare.rows(
        "SELECT DISTINCT entry_id FROM journal_lines WHERE budget_id = $1", budget_id
    )
    entry = """
        INSERT INTO journal_entries (id, kind, on_date, at, actor_issuer, actor_subject)
        VALUES ($1, 'income', '2026-01-01', now(), 'x', 'x')
    """
    async with welfare.connected() as connection:

        async def write(entry_id: UUID, lines: dict[str, int]) -> None:
            async with connection.transaction():
                if entry_id != first["entry_id"]:
                    await connection.execute(entry, entry_id)
                for account, amount in lines.items():
                    await connection.execute(LINE, budget_id, 2, account, entry_id, amount)

        with pytest.raises(asyncpg.CheckViolationError, match="balance"):
            await write(new_id(), {"available": 5})
        with pytest.raises(asyncpg.CheckViolationError, match="closed"):
            await write(first["entry_id"], {"available": 5, "outside": -5})
        # The allowed twin; nothing of it stays.
        attempt = connection.transaction()
        await attempt.start()
        await connection.execute(entry, fresh := new_id())
        await connection.execute(LINE, budget_id, 2, "available", fresh, 5)
        await connection.execute(LINE, budget_id, 2, "outside", fresh, -5)
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await attempt.rollback()


@pytest.mark.parametrize(
    ("edit", "undo"),
    [
        (
            "UPDATE journal_lines SET amount_fen = amount_fen + 1 WHERE budget_id = $1 AND account = 'available'",
            -1,
        ),
        (
            "UPDATE journal_lines SET available_fen = available_fen + 1 WHERE budget_id = $1 AND version = 2",
            -1,
        ),
        ("UPDATE journal_lines SET version = version + 1 WHERE budget_id = $1 AND version = 2", -1),
        ("UPDATE budgets SET paid_fen = paid_fen + 1 WHERE id = $1", -1),
    ],
)
async def test_what_was_edited_behind_the_triggers_is_found(
    welfare: Welfare,
    worker_database: Database,
    settings: Settings,
    postgres_url: str,
    edit: str,
    undo: int,
) -> None:
    """F21: an edited row of the journal."""
    unit = await welfare.unit()
    treasurer = await welfare.user("treasurer", unit)
    made = await new_budget(welfare, treasurer, unit)
    await reserve(welfare, worker_database, made["id"], 10)
    ring = KeyRing.load(settings.keys_file)

    async def broken() -> set[str]:
        async with worker_database.read(Scope.everything()) as session:
            found = await examine(session, ring, INVARIANTS)
        return {finding.id for finding in found if made["id"] in finding.offenders}

    assert await broken() == set()
    database = urlsplit(welfare.urls.worker).path
    connection = await asyncpg.connect(urlunsplit(urlsplit(postgres_url)._replace(path=database)))
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(edit, UUID(made["id"]))
        assert "I3" in await broken()
        version = "version = 3" if "SET version" in edit else "version = 2"
        await connection.execute(
            edit.replace("+ 1", f"+ {undo}").replace("version = 2", version), UUID(made["id"])
        )
    finally:
        await connection.close()
    assert await broken() == set()
