"""Programmes and cases for tests of welfare, and a membership service that answers for the members of the replica."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import orjson

from tests.support.welfare import Member, Unit, Welfare

ACCOUNT = "6222020200112233445"
REASON = "家庭主要劳动力住院"
YEAR = 2026


@dataclass
class FakeMembership(httpx.AsyncBaseTransport):
    """Answers `details` from the replica's rows, with what a test changes of them; or not at all when it is down."""

    database_url: str
    changed: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    is_down: bool = False
    asked: list[UUID] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.is_down:
            raise httpx.ConnectError("down")
        ids = [UUID(one) for one in orjson.loads(await request.aread())["ids"]]
        self.asked += ids
        connection = await asyncpg.connect(self.database_url)
        try:
            rows = await connection.fetch("SELECT * FROM directory_members WHERE id = ANY ($1)", ids)
        finally:
            await connection.close()
        return httpx.Response(200, json={"items": [self._item(row) for row in rows]})

    def _item(self, row: asyncpg.Record) -> dict[str, Any]:
        born = date(row["birth_year"], 6, 15).isoformat() if row["birth_year"] else None
        return {
            "id": str(row["id"]),
            "name": "王小明",
            "member_number": "0000000001",
            "birth_date": born,
            "status": row["status"],
            "organisation_id": str(row["organisation_id"]),
            "version": row["sequence"],
        } | self.changed.get(row["id"], {})


@dataclass
class Aid:
    """A unit with everybody who works on cases, a budget, and a way to programmes and cases."""

    welfare: Welfare
    membership: FakeMembership
    unit: Unit
    officer: str
    approver: str
    treasurer: str
    budget_id: str

    async def programme(self, *, expect: int = 201, by: str | None = None, **terms: Any) -> dict[str, Any]:
        """A programme of the unit, for everybody and up to 3,000 yuan unless `terms` say otherwise."""
        body = {
            "organisation_id": str(self.unit.id),
            "budget_id": self.budget_id,
            "name": "生活救助",
            "kind": "living",
            "starts_on": f"{YEAR}-01-01",
            "ends_on": f"{YEAR}-12-31",
            "amount_rule": "requested",
            "cap_per_time_fen": 300_000,
            "eligibility": {"everybody": True},
        } | terms
        created: dict[str, Any] = await self.welfare.call(
            "POST", "/programmes", by=by or self.officer, json=body, expect=expect
        )
        return created

    async def member(self, **columns: Any) -> Member:
        """A member of the unit."""
        return await self.welfare.member(columns.pop("at", self.unit), **columns)

    async def case(
        self,
        programme: dict[str, Any],
        member: Member,
        *,
        by: str | None = None,
        expect: int = 201,
        **fields: Any,
    ) -> dict[str, Any]:
        """A draft for a member."""
        body = application(programme, member_id=str(member.id), **fields)
        drafted: dict[str, Any] = await self.welfare.call(
            "POST", "/cases", by=by or self.officer, json=body, expect=expect
        )
        return drafted

    async def step(
        self,
        case: dict[str, Any],
        verb: str,
        *,
        by: str,
        expect: int = 200,
        version: int | None = None,
        **body: Any,
    ) -> dict[str, Any]:
        """One step of a case at the version of `case`; the case after it."""
        after: dict[str, Any] = await self.welfare.call(
            "POST",
            f"/cases/{case['id']}/{verb}",
            by=by,
            version=case["version"] if version is None else version,
            expect=expect,
            json=body or None,
        )
        return after

    async def submitted(self, programme: dict[str, Any], member: Member, **fields: Any) -> dict[str, Any]:
        """A case that waits for a decision."""
        drafted = await self.case(programme, member, **fields)
        return await self.step(drafted, "submission", by=self.officer)

    async def approved(self, programme: dict[str, Any], member: Member, **fields: Any) -> dict[str, Any]:
        """A case whose money is reserved."""
        case = await self.submitted(programme, member, **fields)
        return await self.approve(case)

    async def approve(self, case: dict[str, Any], **step: Any) -> dict[str, Any]:
        """The decision."""
        body = {"approved_fen": step.pop("approved_fen", None)}
        return await self.step(case, "approval", by=step.pop("by", self.approver), **step, **body)

    async def budget(self) -> tuple[int, int, int]:
        """Allocated, reserved, paid."""
        [row] = await self.welfare.rows("SELECT * FROM budgets WHERE id = $1", UUID(self.budget_id))
        return row["allocated_fen"], row["reserved_fen"], row["paid_fen"]


def application(programme: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body of an application."""
    return {
        "programme_id": programme["id"],
        "requested_fen": 100_000,
        "reason": REASON,
        "payee_name": "王小明",
        "account": ACCOUNT,
    } | fields


async def aid_of(welfare: Welfare, membership: FakeMembership, parent: Unit | None = None) -> Aid:
    """A fresh unit with rules, people and 100,000 yuan."""
    unit = await welfare.unit(parent)
    administrator = await welfare.user("administrator", unit)
    await welfare.call("POST", "/rules/defaults", by=administrator, json={"organisation_id": str(unit.id)})
    officer = await welfare.user("welfare_officer", unit)
    approver = await welfare.user("approver", unit)
    treasurer = await welfare.user("treasurer", unit)
    body = {
        "organisation_id": str(unit.id),
        "year": YEAR,
        "source": "own",
        "name": "帮扶",
        "amount_fen": 10_000_000,
    }
    budget = await welfare.call("POST", "/budgets", by=treasurer, json=body, expect=201)
    return Aid(welfare, membership, unit, officer, approver, treasurer, budget["id"])
