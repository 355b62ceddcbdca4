"""A unit with a budget, a programme, two treasurers, and as many approved cases as a test wants."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.kernel.ids import new_id
from shared.kernel.money import Fen
from shared.security.keys import KeyRing
from tests.integration.welfare.funds.test_budgets import figures, new_budget
from tests.support.welfare import Unit, Welfare, committed
from welfare_service.cases import repository as cases
from welfare_service.cases import sealing
from welfare_service.cases.domain import Act, AidCase
from welfare_service.cases.recording import record
from welfare_service.funds import use_cases as funds

AMOUNT = 30_000
ACCOUNT = "6222021234567890123"


@dataclass
class Office:
    """One test's unit and its people."""

    welfare: Welfare
    database: Database
    ring: KeyRing
    unit: Unit
    preparer: str
    sender: str
    budget_id: str
    programme_id: UUID
    members: dict[UUID, UUID] = field(default_factory=dict)

    @classmethod
    async def open(cls, welfare: Welfare, database: Database, ring: KeyRing) -> "Office":
        """With a million fen; `database` is the worker's."""
        unit = await welfare.unit()
        preparer, sender = [await welfare.user("treasurer", unit) for _ in range(2)]
        budget = await new_budget(welfare, preparer, unit, 1_000_000)
        programme_id = new_id()
        async with welfare.connected() as connection:
            await connection.execute(
                """
                INSERT INTO programmes (id, organisation_id, path, budget_id, name, kind, starts_on, ends_on, amount_rule,
                    eligibility, version, created_at, updated_at)
                VALUES ($1, $2, $3, $4, '送温暖', 'warmth', '2026-01-01', '2026-12-31', 'requested',
                    '{"everybody": true}', 1, now(), now())
                """,
                programme_id,
                unit.id,
                unit.path,
                UUID(budget["id"]),
            )
        return cls(welfare, database, ring, unit, preparer, sender, budget["id"], programme_id)

    async def approved(
        self, count: int = 1, *, account: str = ACCOUNT, at: Unit | None = None, amount: int = AMOUNT
    ) -> list[UUID]:
        """Cases that were approved, their money reserved."""
        made = []
        for _ in range(count):
            member = await self.welfare.member(at or self.unit)
            async with committed(self.database, Scope.everything()) as session:
                case = self._draft(member.id, at or self.unit, account, amount)
                officer, approver = (
                    Act(self.welfare.by(name), self.welfare.by(name).today)
                    for name in ("officer", "approver")
                )
                session.add(case)
                await record(session, case, case.draft(officer))
                await record(session, case, case.submit(Fen(amount), 0, officer, {}))
                entry = case.approve(Fen(amount), UUID(self.budget_id), 0, approver, {})
                await record(session, case, entry)
                await funds.reserve(session, UUID(self.budget_id), case.id, Fen(amount), approver.by)
            self.members[case.id] = member.id
            made.append(case.id)
        return made

    def _draft(self, member_id: UUID, at: Unit, account: str, amount: int) -> AidCase:
        case_id, now = new_id(), self.welfare.clock.now()
        private = sealing.sealed(self.ring, case_id, sealing.Opened("困难", "王小明", account))
        return AidCase(
            id=case_id,
            case_number=f"T{case_id}",
            organisation_id=at.id,
            path=at.path,
            programme_id=self.programme_id,
            member_id=member_id,
            dossier_id=None,
            stage_since=now,
            requested_fen=amount,
            drafted_by_issuer="test",
            drafted_by_subject="officer",
            created_at=now,
            updated_at=now,
            **{name: getattr(private, name) for name in type(private).__dataclass_fields__},
        )

    async def prepare(self, case_ids: Sequence[UUID], *, expect: int = 201, **request: Any) -> Any:
        """A batch of these cases."""
        body = {"organisation_id": str(self.unit.id), "case_ids": [str(case) for case in case_ids]}
        request.setdefault("by", self.preparer)
        return await self.welfare.call("POST", "/payouts", json=body, expect=expect, **request)

    async def send(self, payout: Any, channel: str = "file", **request: Any) -> Any:
        """Let it go."""
        request.setdefault("by", self.sender)
        path = f"/payouts/{payout['id']}/sending"
        return await self.welfare.call(
            "POST", path, version=payout["version"], json={"channel": channel}, **request
        )

    async def sent(self, count: int = 1, channel: str = "file", **case: Any) -> tuple[Any, list[UUID]]:
        """A batch that was let go, and its cases."""
        case_ids = await self.approved(count, **case)
        return await self.send(await self.prepare(case_ids), channel), case_ids

    async def get(self, payout: Any, part: str = "") -> Any:
        """The batch as it is now, or its "/lines" or "/findings"."""
        path = f"/payouts/{payout['id']}{part}" + ("?limit=200" if part else "")
        found = await self.welfare.call("GET", path, by=self.sender)
        return found["items"] if part else found

    async def lines(self, payout: Any) -> dict[str, Any]:
        """Its lines by case."""
        return {line["case_id"]: line for line in await self.get(payout, "/lines")}

    async def findings(self, payout: Any) -> list[str]:
        """The kinds of its findings."""
        return [finding["kind"] for finding in await self.get(payout, "/findings")]

    async def result(
        self, payout: Any, rows: Sequence[Sequence[object]] | bytes, *, expect: int = 200, **request: Any
    ) -> Any:
        """Upload a result file."""
        content = rows
        if not isinstance(content, bytes):
            out = io.StringIO()
            csv.writer(out).writerows([["instruction_id", "state", "amount", "reason"], *rows])
            content = out.getvalue().encode()
        files = {"file": ("result.csv", content, "text/csv")}
        request.setdefault("by", self.sender)
        path = f"/payouts/{payout['id']}/result"
        return await self.welfare.call("POST", path, files=files, expect=expect, **request)

    async def stage(self, case_id: UUID) -> str:
        """Where a case stands."""
        async with self.database.read(Scope.everything()) as session:
            return (await cases.get(session, case_id)).stage.value

    async def settled(self, case_id: UUID) -> int:
        """How often the journal was told of the payment of a case."""
        rows = await self.welfare.rows(
            "SELECT id FROM journal_entries WHERE case_id = $1 AND kind = 'payment'", case_id
        )
        return len(rows)

    async def figures(self) -> tuple[int, int, int, int]:
        """Allocated, reserved, paid, available."""
        return await figures(self.welfare, self.preparer, self.budget_id)
