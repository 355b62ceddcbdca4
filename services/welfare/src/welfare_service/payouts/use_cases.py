"""What one can do with a payout: one function per verb, each in the transaction that it is given.

Order of locks: the batch, its cases in order of id, dossiers, and at the very end budgets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from shared.database.session import ReadSession, WriteSession
from shared.directory.organisations import place_of_organisation
from shared.jobs import enqueue
from shared.kernel.errors import Conflict, Invalid, NotFound
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.keys import KeyRing, SealBroken
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version
from welfare_service.cases import payments as cases
from welfare_service.cases.domain import AidCase
from welfare_service.cases.sealing import payee_of
from welfare_service.payouts import files, repository
from welfare_service.payouts.answers import Booked, Told, book, finding_of, keep
from welfare_service.payouts.bank import Instruction
from welfare_service.payouts.domain import (
    Channel,
    Finding,
    FindingKind,
    LineState,
    Payout,
    PayoutLine,
    PayoutState,
    missing,
)
from welfare_service.payouts.files import ResultRow

#: Kind of the job that sends a batch.
SEND = "payouts.send"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a result file."""

    payout: Payout
    rows: int
    booked: Booked
    missing: list[PayoutLine]


async def prepare(
    session: WriteSession, caller: Caller, by: By, organisation_id: UUID, case_ids: Sequence[UUID]
) -> Payout:
    """Put approved cases of a unit and those below it into a batch. Raises NotFound, Invalid, Conflict; all or none."""
    place = await place_of_organisation(session, organisation_id)
    if place is None:
        raise NotFound("not-found")
    caller.require(Action.PAYOUT_CHANGE, place)
    if len(set(case_ids)) != len(case_ids):
        raise Invalid("payout-case-twice", field="case_ids")
    taken = await cases.begin_disbursing(session, case_ids, by)
    if not all(case.path.startswith(place) for case in taken):
        raise NotFound("not-found")
    payout_id = new_id()
    earlier = await repository.attempts(session, case_ids)
    lines = [_line(payout_id, case, earlier.get(case.id, 0) + 1) for case in taken]
    payout = Payout(
        id=payout_id,
        number=await repository.next_number(session, by.today.year),
        organisation_id=organisation_id,
        path=place,
        line_count=len(lines),
        total_fen=sum(line.amount_fen for line in lines),
        prepared_by_issuer=by.issuer,
        prepared_by_subject=by.subject,
        prepared_at=by.at,
    )
    repository.add(session, payout, lines)
    session.audit("payout.prepared", "payout", payout.id, path=payout.path)
    return payout


async def send(
    session: WriteSession, caller: Caller, by: By, payout_id: UUID, version: int, channel: Channel
) -> Payout:
    """Let a batch go, by another person than who prepared it: over the bank's interface, or as a file handed over.

    A batch that the bank's interface did not take may be handed over as a file instead.
    """
    payout = await _locked(session, caller, payout_id)
    require_version(version, payout.version)
    if channel is Channel.FILE and payout.state is PayoutState.SENT:
        payout.divert(by.issuer, by.subject)
        lines = await repository.lines(session, payout.id)
        if not any(line.state is LineState.PENDING for line in lines):
            raise Conflict("payout-line-under-way")
    else:
        payout.send(by.issuer, by.subject, channel, by.at)
    if channel is Channel.BANK:
        await enqueue(session, SEND, {"payout_id": str(payout.id)})
    else:
        for line in await repository.lines(session, payout.id):
            if line.state is LineState.PENDING:
                line.hand_over(by.at)
    session.audit("payout.sent", "payout", payout.id, {"channel": channel.value}, path=payout.path)
    return payout


async def cancel(session: WriteSession, caller: Caller, by: By, payout_id: UUID, version: int) -> Payout:
    """Take a batch back before it is sent: its cases are approved again, still reserved."""
    payout = await _locked(session, caller, payout_id)
    require_version(version, payout.version)
    payout.cancel(by.issuer, by.subject, by.at)
    lines = await repository.lines(session, payout.id)
    await repository.reach_cases(session, lines)
    for line in sorted(lines, key=lambda line: line.case_id):
        line.withdraw("payout-cancelled", by.at)
        await cases.record_payment_failed(session, line.case_id, "payout-cancelled", by)
    session.audit("payout.cancelled", "payout", payout.id, path=payout.path)
    return payout


async def close(session: WriteSession, caller: Caller, by: By, payout_id: UUID, version: int) -> Payout:
    """End a batch that the bank has answered for and about which nothing is open."""
    payout = await _locked(session, caller, payout_id)
    require_version(version, payout.version)
    findings = await repository.findings(session, payout.id, is_open=True, limit=1)
    payout.close(by.issuer, by.subject, by.at, open_findings=bool(findings))
    session.audit("payout.closed", "payout", payout.id, path=payout.path)
    return payout


async def resolve(
    session: WriteSession, caller: Caller, by: By, payout_id: UUID, finding_id: UUID, resolution: str
) -> Finding:
    """Say how a finding was cleared up. It changes no money: that is done by the journal's own verbs."""
    payout = await _locked(session, caller, payout_id)
    finding = await repository.finding(session, payout.id, finding_id)
    finding.resolve(by.issuer, by.subject, by.at, resolution)
    session.audit("payout.resolved", "payout", payout.id, {"finding": str(finding.id)}, path=payout.path)
    return finding


async def take_result(
    session: WriteSession, caller: Caller, by: By, payout_id: UUID, rows: Sequence[ResultRow]
) -> Result:
    """Book a result file. What is foreign, double, unreadable or contradicts is kept as a finding; the rest counts."""
    payout = await _locked(session, caller, payout_id)
    lines = await repository.lines(session, payout.id)
    by_id = {line.id: line for line in lines}
    told, misfits = [], []
    doubles = files.doubles(rows)
    for row in rows:
        line = by_id.get(row.instruction_id) if row.instruction_id else None
        kind = row.problem or (FindingKind.DOUBLE if row.number in doubles and line else None)
        if kind is None and line is None:
            kind = FindingKind.FOREIGN
        if kind is None and line is not None and row.answer is not None:
            told.append(Told(line, row.answer, row.number))
        elif kind is not None:
            misfits.append(_misfit(payout, by, kind, row, line))
    booked = await book(session, by, payout, lines, told)
    booked.findings += await keep(session, payout, misfits)
    session.audit("payout.result-taken", "payout", payout.id, path=payout.path)
    return Result(
        payout, len(rows), booked, missing(lines, {row.instruction_id for row in rows if row.instruction_id})
    )


async def hand_over(session: WriteSession, unit: UUID, successor: UUID, path: str) -> None:
    """A unit was dissolved: who takes over at `path` sends and closes its batches from now on."""
    for payout_id in await repository.hand_over(session, unit, successor, path):
        session.audit("payout.handed-over", "payout", payout_id, {"from": str(unit)}, path=path)


async def instructions_file(
    session: WriteSession, caller: Caller, ring: KeyRing, payout_id: UUID
) -> tuple[Payout, bytes]:
    """The file for the bank, with account numbers: audited. Raises Conflict for a batch that nobody let go yet, since whoever
    prepared it could hand it over alone, or that is over, or that the bank's interface was given.
    """
    payout = await _locked(session, caller, payout_id)
    if payout.state is PayoutState.DRAFT:
        raise Conflict("payout-not-sent")
    if payout.state is not PayoutState.SENT:
        raise Conflict("payout-not-in-state")
    if payout.channel is Channel.BANK:
        raise Conflict("payout-line-under-way")
    lines = [
        line
        for line in await repository.lines(session, payout.id)
        if line.state in {LineState.PENDING, LineState.UNKNOWN}
    ]
    found = await instructions(session, ring, lines)
    session.audit("payout.file-read", "payout", payout.id, path=payout.path)
    return payout, files.instruction_file(found.values(), payout.number)


async def instructions(
    session: ReadSession, ring: KeyRing, lines: Sequence[PayoutLine]
) -> dict[UUID, Instruction]:
    """What the bank is told, by line; a line whose person was erased is missing."""
    payees = {payee.case_id: payee for payee in await cases.payees(session, [line.case_id for line in lines])}
    found = {}
    for line in lines:
        try:
            name, account = payee_of(ring, payees[line.case_id])
        except (KeyError, SealBroken):
            continue
        found[line.id] = Instruction(line.id, account, name, line.amount_fen)
    return found


async def read(session: ReadSession, caller: Caller, payout_id: UUID) -> Payout:
    """A batch, for those who may read it."""
    payout = await repository.get(session, payout_id)
    caller.require(Action.PAYOUT_READ, payout.path)
    return payout


async def _locked(session: WriteSession, caller: Caller, payout_id: UUID) -> Payout:
    payout = await repository.get_for_change(session, payout_id)
    caller.require(Action.PAYOUT_CHANGE, payout.path)
    return payout


def _line(payout_id: UUID, case: AidCase, attempt: int) -> PayoutLine:
    if case.budget_id is None or case.approved_fen is None or case.account_masked is None:
        raise Conflict("case-not-payable")
    return PayoutLine(
        id=new_id(),
        payout_id=payout_id,
        case_id=case.id,
        attempt=attempt,
        budget_id=case.budget_id,
        member_id=case.member_id,
        case_number=case.case_number,
        amount_fen=case.approved_fen,
        account_masked=case.account_masked,
    )


def _misfit(payout: Payout, by: By, kind: FindingKind, row: ResultRow, line: PayoutLine | None) -> Finding:
    return finding_of(
        payout,
        by,
        kind,
        line_id=line.id if line else None,
        row_number=row.number,
        reference=row.reference,
        said=row.said,
        amount_fen=row.amount_fen,
    )
