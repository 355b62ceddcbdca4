"""Approvals on one budget, at use-case level, beside updates of one row."""

from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

import asyncpg

from shared.contracts.membership import MemberStatus, Role
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.policy import Caller, Post
from tests.bench.figures import Figure, figure, interleaved
from tests.bench.ground import Ground, Size, calm
from tests.bench.hot_row import CONNECTIONS, application, owner, rate, updates
from tests.bench.offices import office
from tests.support.aid import Aid
from tests.support.tokens import ISSUER
from tests.support.welfare import committed
from welfare_service.cases import approving
from welfare_service.cases import use_cases as cases
from welfare_service.membership_client import MemberDetail

#: Approvals at the very end for which there is money, of as many as there are connections.
_LAST: Final = 10
_GRANT: Final = 50_000
#: $1 a member, $2 the case, $3 how many.
_FRESH: Final = (
    "CREATE TEMP TABLE fresh (id uuid, member_id uuid, first_id uuid, first_member_id uuid)",
    "INSERT INTO fresh SELECT gen_random_uuid(), gen_random_uuid(), $2, $1 FROM generate_series(1, $3::int)",
)
#: Tables, which row is copied for each of the fresh, and what of it differs.
_COPIES: Final = (
    ("directory_members", "known.id = first_member_id", "jsonb_build_object('id', fresh.member_id)"),
    (
        "cases",
        "known.id = first_id",
        "jsonb_build_object('id', fresh.id, 'member_id', fresh.member_id, 'case_number', 'BENCH-' || fresh.id)",
    ),
    ("case_history", "known.case_id = first_id", "jsonb_build_object('case_id', fresh.id)"),
)


async def approvals(ground: Ground, size: Size) -> list[Figure]:
    """Approvals by 64 at once. Raises RuntimeError for a fen too many."""
    number = size.of(2_000, 200)
    async with office(ground) as (aid, urls), application(ground, urls) as database:
        desk = _Desk(ground, urls, database, aid)
        # The first statements of a connection prepare it.
        await desk.approve_all(min(number, 500))
        found = await interleaved(
            size.rounds,
            updates=lambda: updates(ground, database, size.of(20_000, 1_000)),
            approvals=lambda: desk.approve_all(number),
        )
    return [figure("approvals_vs_update", "1/s", found["approvals"], found["updates"], target="ratio >= 0.5")]


@dataclass
class _Desk:
    """An approver with many cases of one budget before him."""

    ground: Ground
    urls: DatabaseUrls
    database: Database
    aid: Aid

    async def approve_all(self, number: int) -> float:
        """Approve `number` cases, approvals a second; then as many at once as there are connections, with money for ten more."""
        rows = await submitted(self.ground, self.urls, self.aid, number + CONNECTIONS)
        await self._leave_money_for(number + _LAST)
        _, reserved_before, _ = await self.aid.budget()
        unit = self.aid.unit
        clock = self.aid.welfare.clock
        caller = Caller(ISSUER, self.aid.approver, (Post(Role.APPROVER, unit.id, unit.path),), clock.now())
        by = By(ISSUER, self.aid.approver, clock.now())
        refused = 0

        async def approve(row: asyncpg.Record) -> None:
            nonlocal refused
            detail = MemberDetail(
                row["member_id"], "王小明", date(1990, 6, 15), MemberStatus.ACTIVE, unit.id, 1
            )
            try:
                await self._approve(caller, by, row["id"], row["version"], detail)
            except Conflict as error:
                if error.code != "budget-exhausted":
                    raise
                refused += 1

        await calm(self.ground.postgres_url)
        speed = await rate(rows[:number], approve)
        if refused:
            raise RuntimeError(f"{refused} approvals were refused though there was money for them")
        await rate(rows[number:], approve)
        allocated, reserved, paid = await self.aid.budget()
        granted = reserved - reserved_before
        if (refused, granted, allocated - reserved - paid) != (
            CONNECTIONS - _LAST,
            _GRANT * (number + _LAST),
            0,
        ):
            raise RuntimeError(
                f"{refused} refused, {granted} fen granted of a budget {allocated, reserved, paid}"
            )
        return speed

    async def _approve(
        self, caller: Caller, by: By, case_id: UUID, version: int, detail: MemberDetail
    ) -> None:
        """As the route does it."""
        if await approving.approve(self.database, caller, by, case_id, version, None, detail) is None:
            async with committed(self.database, caller.scope()) as session:
                await cases.approve(session, caller, by, case_id, version, None, detail)

    async def _leave_money_for(self, number: int) -> None:
        """Make the budget exactly so large."""
        allocated, reserved, paid = await self.aid.budget()
        missing = reserved + paid + number * _GRANT - allocated
        body = {"amount_fen": missing, "reason": "上级补助"}
        path = f"/budgets/{self.aid.budget_id}/income"
        await self.aid.welfare.call("POST", path, by=self.aid.treasurer, json=body, expect=201)


async def submitted(ground: Ground, urls: DatabaseUrls, aid: Aid, number: int) -> list[asyncpg.Record]:
    """That many cases that wait for a decision, each of another member: one made by the service, the others copies of it."""
    programme = await aid.programme(cap_per_time_fen=_GRANT, name=f"生活救助{new_id()}")
    member = await aid.member()
    first = UUID((await aid.submitted(programme, member, requested_fen=_GRANT))["id"])
    async with owner(ground, urls) as connection:
        await connection.execute(_FRESH[0])
        await connection.execute(_FRESH[1], member.id, first, number)
        for table, condition, changed in _COPIES:
            await connection.execute(
                f"""
                INSERT INTO {table} SELECT (jsonb_populate_record(known, {changed})).*
                FROM {table} AS known, fresh WHERE {condition}
                """
            )
        await connection.execute("ANALYZE")
        return list(
            await connection.fetch("SELECT id, cases.member_id, version FROM cases JOIN fresh USING (id)")
        )
