"""What an answer of the bank does: cases, dossiers and budgets are told once; what does not fit is kept as a finding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from shared.database.session import WriteSession
from shared.kernel.ids import new_id
from shared.kernel.money import fen
from shared.security.acting import By
from welfare_service.cases import payments as cases
from welfare_service.dossiers import use_cases as dossiers
from welfare_service.funds import use_cases as funds
from welfare_service.payouts import repository
from welfare_service.payouts.domain import (
    Answer,
    Effect,
    Finding,
    FindingKind,
    Payout,
    PayoutLine,
)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer for one line; `row_number` is that of a file."""

    line: PayoutLine
    answer: Answer
    row_number: int | None = None


@dataclass(slots=True)
class Booked:
    """What was done: how many payments ended which way, and what is new among the findings."""

    paid: int = 0
    failed: int = 0
    unchanged: int = 0
    findings: list[Finding] = field(default_factory=list)


async def book(
    session: WriteSession, by: By, payout: Payout, lines: Sequence[PayoutLine], told: Iterable[Told]
) -> Booked:
    """Take in what the bank says of lines of a locked batch (`lines` are all of its).

    Order of locks: the batch, cases, dossiers, and at the end of the transaction budgets, each in order of their ids.
    """
    await repository.reach_cases(session, lines)
    booked = Booked()
    paid: list[PayoutLine] = []
    for one in sorted(told, key=lambda told: told.line.case_id):
        heard = one.line.hear(one.answer, by.at)
        if heard.finding is not None:
            booked.findings.append(_finding(payout, by, heard.finding, one))
        match heard.effect:
            case Effect.PAID:
                await cases.record_paid(session, one.line.case_id, fen(one.line.amount_fen), by)
                paid.append(one.line)
            case Effect.FAILED:
                reason = one.line.reason or "bank-refused"
                await cases.record_payment_failed(session, one.line.case_id, reason, by)
                booked.failed += 1
            case Effect.NOTHING:
                booked.unchanged += heard.finding is None
    for line in sorted(paid, key=lambda line: line.member_id):
        await dossiers.record_aid(session, line.member_id, fen(line.amount_fen), by.today)
    for line in sorted(paid, key=lambda line: (line.budget_id, line.case_id)):
        await funds.settle(session, line.budget_id, line.case_id, fen(line.amount_fen), by)
    booked.paid = len(paid)
    booked.findings = await keep(session, payout, booked.findings)
    payout.look({line.state for line in lines}, by.at)
    return booked


async def keep(session: WriteSession, payout: Payout, findings: Sequence[Finding]) -> list[Finding]:
    """Write the findings that are new; a bank may repeat itself for ever. Gives those. The batch is locked."""
    known = {_said(one) for one in await repository.findings(session, payout.id, is_open=True, limit=None)}
    fresh = []
    for finding in findings:
        if _said(finding) not in known:
            known.add(_said(finding))
            fresh.append(finding)
    repository.add_findings(session, fresh)
    for finding in fresh:
        session.audit("payout.finding", "payout", payout.id, {"kind": finding.kind.value}, path=payout.path)
    return fresh


def finding_of(
    payout: Payout,
    by: By,
    kind: FindingKind,
    *,
    line_id: UUID | None = None,
    row_number: int | None = None,
    reference: str | None = None,
    said: str | None = None,
    amount_fen: int | None = None,
) -> Finding:
    """A finding of a batch, where its unit stands now."""
    return Finding(
        id=new_id(),
        payout_id=payout.id,
        organisation_id=payout.organisation_id,
        path=payout.path,
        line_id=line_id,
        kind=kind,
        row_number=row_number,
        reference=reference,
        said=said,
        amount_fen=amount_fen,
        found_at=by.at,
    )


def _finding(payout: Payout, by: By, kind: FindingKind, told: Told) -> Finding:
    return finding_of(
        payout,
        by,
        kind,
        line_id=told.line.id,
        row_number=told.row_number,
        reference=str(told.line.id),
        said=told.answer.said.value,
        amount_fen=told.answer.amount_fen,
    )


def _said(finding: Finding) -> tuple[object, ...]:
    return (
        finding.kind,
        finding.line_id,
        finding.row_number,
        finding.reference,
        finding.said,
        finding.amount_fen,
    )
