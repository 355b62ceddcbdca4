"""Every query of payouts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, or_, select, text, update

from shared.database.paths import in_subtree
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound
from welfare_service.payouts.domain import (
    Channel,
    Finding,
    LineState,
    Payout,
    PayoutLine,
    PayoutState,
)
from welfare_service.payouts.tables import payout_findings, payout_lines, payout_numbers, payouts

# Asked again after a tenth of its age: often while it is fresh, twice a day once it is a week old.
_DUE_LINES: Final = text("""
    SELECT line.id, line.payout_id FROM payout_lines line JOIN payouts payout ON payout.id = line.payout_id
    WHERE line.state IN ('unknown', 'accepted') AND payout.channel = 'bank'
      AND (line.asked_at IS NULL OR line.asked_at
        < CAST(:now AS timestamptz) - greatest(CAST(:patience AS interval), (CAST(:now AS timestamptz) - line.handed_at) / 10))
    ORDER BY line.asked_at NULLS FIRST, line.id LIMIT :limit
""")


_PATHS_OF_CASES: Final = text("SELECT * FROM paths_of_paid_cases(:lines)")


async def next_number(session: WriteSession, year: int) -> str:
    """A number for a new batch, "P202600000001"."""
    position = await session.scalar(payout_numbers.next_value())
    return f"P{year}{position:08d}"


def add(session: WriteSession, payout: Payout, lines: Sequence[PayoutLine]) -> None:
    """Write a new batch."""
    session.add(payout)
    session.add_all(lines)


def add_findings(session: WriteSession, findings: Sequence[Finding]) -> None:
    """Keep what does not fit."""
    session.add_all(findings)


async def reach_cases(session: WriteSession, lines: Sequence[PayoutLine]) -> None:
    """Bring the cases of lines of a batch into scope, in whosever hands they are by now.

    The caller has the right to the batch, and they were paid by it: what the bank says of them is booked wherever they went.
    """
    within = session.granted
    paths = list(await session.scalars(_PATHS_OF_CASES, {"lines": [line.id for line in lines]}))
    for path in paths:
        if not within.whole and not path.startswith(within.paths):
            await session.widen_scope(path)


async def hand_over(session: WriteSession, unit: UUID, successor: UUID, path: str) -> list[UUID]:
    """Let another unit have the batches of a dissolved one with what does not fit in them; the ids of the batches."""
    now = {"organisation_id": successor, "path": path}
    findings_of_unit = payout_findings.c.organisation_id == unit
    await session.execute(update(payout_findings).where(findings_of_unit).values(now))
    moved = update(payouts).where(payouts.c.organisation_id == unit).returning(payouts.c.id)
    return list(await session.scalars(moved.values(now | {"version": payouts.c.version + 1})))


async def get(session: ReadSession, payout_id: UUID) -> Payout:
    """The batch. Raises NotFound, also for what the caller may not see."""
    payout = await session.scalar(select(Payout).where(payouts.c.id == payout_id))
    if payout is None:
        raise NotFound("not-found")
    return payout


async def get_for_change(session: WriteSession, payout_id: UUID) -> Payout:
    """The batch, locked: whoever changes its lines or findings holds this first, then cases, then budgets."""
    locked = select(Payout).where(payouts.c.id == payout_id).with_for_update()
    payout = await session.scalar(locked.execution_options(populate_existing=True))
    if payout is None:
        raise NotFound("not-found")
    return payout


async def lines(session: ReadSession, payout_id: UUID) -> Sequence[PayoutLine]:
    """All lines of a batch, in order of their ids; there are at most MAX_LINES."""
    found = select(PayoutLine).where(payout_lines.c.payout_id == payout_id).order_by(payout_lines.c.id)
    return (await session.scalars(found.execution_options(populate_existing=True))).all()


async def lines_page(
    session: ReadSession, payout_id: UUID, after: UUID | None, limit: int, state: LineState | None
) -> Sequence[PayoutLine]:
    """Up to `limit` lines of a batch after `after`."""
    found = select(PayoutLine).where(payout_lines.c.payout_id == payout_id)
    if after is not None:
        found = found.where(payout_lines.c.id > after)
    if state is not None:
        found = found.where(payout_lines.c.state == state)
    return (await session.scalars(found.order_by(payout_lines.c.id).limit(limit))).all()


async def findings(
    session: ReadSession, payout_id: UUID, *, is_open: bool, limit: int | None, after: UUID | None = None
) -> Sequence[Finding]:
    """Up to `limit` findings of a batch after `after`, or all, oldest first; with `is_open` only those not cleared up."""
    found = select(Finding).where(payout_findings.c.payout_id == payout_id)
    if is_open:
        found = found.where(payout_findings.c.resolved_at.is_(None))
    if after is not None:
        found = found.where(payout_findings.c.id > after)
    return (await session.scalars(found.order_by(payout_findings.c.id).limit(limit))).all()


async def finding(session: WriteSession, payout_id: UUID, finding_id: UUID) -> Finding:
    """One finding of a batch. Raises NotFound."""
    found = await session.scalar(
        select(Finding).where(payout_findings.c.id == finding_id, payout_findings.c.payout_id == payout_id)
    )
    if found is None:
        raise NotFound("not-found")
    return found


async def attempts(session: ReadSession, case_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many lines each of these cases has had."""
    counted = (
        select(payout_lines.c.case_id, func.max(payout_lines.c.attempt))
        .where(payout_lines.c.case_id.in_(case_ids))
        .group_by(payout_lines.c.case_id)
    )
    return {row[0]: row[1] for row in await session.execute(counted)}


async def page(
    session: ReadSession,
    roots: Sequence[str],
    state: PayoutState | None,
    before: UUID | None,
    limit: int,
) -> Sequence[Payout]:
    """Up to `limit` batches of the subtrees `roots` with an id below `before`, newest first."""
    found = select(Payout).where(or_(*(in_subtree(payouts.c.path, root) for root in roots)))
    if state is not None:
        found = found.where(payouts.c.state == state)
    if before is not None:
        found = found.where(payouts.c.id < before)
    return (await session.scalars(found.order_by(payouts.c.id.desc()).limit(limit))).all()


async def due_lines(
    session: ReadSession, now: datetime, patience: timedelta, limit: int
) -> list[tuple[UUID, UUID]]:
    """(line, batch) of up to `limit` lines to ask the bank about, those longest not asked about first."""
    rows = await session.execute(_DUE_LINES, {"now": now, "patience": patience, "limit": limit})
    return [(row.id, row.payout_id) for row in rows]


async def unsent(session: ReadSession, before: datetime, limit: int) -> list[UUID]:
    """Batches that were to go to the bank before `before`, and have lines that did not."""
    pending = select(payout_lines.c.id).where(
        payout_lines.c.payout_id == payouts.c.id, payout_lines.c.state == LineState.PENDING
    )
    found = select(payouts.c.id).where(
        payouts.c.state == PayoutState.SENT,
        payouts.c.channel == Channel.BANK,
        payouts.c.sent_at < before,
        pending.exists(),
    )
    return list(await session.scalars(found.order_by(payouts.c.sent_at).limit(limit)))


async def waiting(session: ReadSession, root: str, limit: int) -> list[tuple[Payout, bool]]:
    """Batches of a subtree in which somebody has to act, oldest first; True: with lines of which nothing is known."""
    unknown = select(payout_lines.c.id).where(
        payout_lines.c.payout_id == payouts.c.id, payout_lines.c.state == LineState.UNKNOWN
    )
    found = (
        select(Payout, unknown.exists())
        .where(in_subtree(payouts.c.path, root), payouts.c.state.in_(_WAITING))
        .order_by(payouts.c.id)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await session.execute(found)]


async def with_findings(session: ReadSession, root: str, limit: int) -> list[tuple[Payout, datetime]]:
    """Batches of a subtree with findings that are not cleared up, and since when."""
    since = func.min(payout_findings.c.found_at)
    open_ones = (
        select(payout_findings.c.payout_id, since.label("since"))
        .where(in_subtree(payout_findings.c.path, root), payout_findings.c.resolved_at.is_(None))
        .group_by(payout_findings.c.payout_id)
        .order_by(since)
        .limit(limit)
        .subquery()
    )
    found = select(Payout, open_ones.c.since).join(open_ones, open_ones.c.payout_id == payouts.c.id)
    return [(row[0], row[1]) for row in await session.execute(found.order_by(open_ones.c.since))]


_WAITING: Final = (PayoutState.DRAFT, PayoutState.SENT, PayoutState.ANSWERED)
