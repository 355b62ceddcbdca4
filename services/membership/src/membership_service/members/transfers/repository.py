"""Every query of transfers. A transfer is seen from both ends."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, or_, select, update

from membership_service.members.tables import transfers
from membership_service.members.transfers.domain import OPEN, Transfer, TransferState
from shared.database.paths import in_subtree
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound


async def get(session: ReadSession, transfer_id: UUID) -> Transfer:
    """The transfer. Raises NotFound, also for what the caller may not see."""
    return _found(await session.scalar(select(Transfer).where(transfers.c.id == transfer_id)))


async def get_for_change(session: WriteSession, transfer_id: UUID) -> Transfer:
    """The transfer, locked. Whoever also locks units does that first, and the member after this."""
    locked = select(Transfer).where(transfers.c.id == transfer_id).with_for_update()
    return _found(await session.scalar(locked.execution_options(populate_existing=True)))


def add(session: WriteSession, transfer: Transfer) -> None:
    """Write a new transfer."""
    session.add(transfer)


async def page(
    session: ReadSession,
    roots: Sequence[str],
    *,
    is_open: bool,
    is_escalated: bool,
    after: UUID | None,
    limit: int,
) -> Sequence[Transfer]:
    """Up to `limit` transfers with an end in one of the subtrees `roots`, oldest first (ids rise with time)."""
    columns = transfers.c
    ends = [in_subtree(column, root) for root in roots for column in (columns.from_path, columns.to_path)]
    found = select(Transfer).where(or_(*ends))
    if is_open:
        found = found.where(columns.state.in_(OPEN))
    if is_escalated:
        found = found.where(columns.escalated_at.is_not(None))
    if after:
        found = found.where(columns.id > after)
    return (await session.scalars(found.order_by(columns.id).limit(limit))).all()


async def waiting(session: ReadSession, roots: Sequence[str], limit: int) -> Sequence[Transfer]:
    """Up to `limit` open transfers that wait for the side in one of the subtrees `roots`, or escalated over it; due first."""
    columns = transfers.c
    if not roots:
        return []
    ends = [
        condition
        for root in roots
        for condition in (
            and_(columns.state == TransferState.REQUESTED, in_subtree(columns.from_path, root)),
            and_(columns.state == TransferState.RELEASED, in_subtree(columns.to_path, root)),
        )
    ]
    found = select(Transfer).where(columns.state.in_(OPEN), or_(*ends))
    return (await session.scalars(found.order_by(columns.due_at, columns.id).limit(limit))).all()


async def escalate(session: WriteSession, before: datetime, now: datetime, limit: int) -> int:
    """Mark up to `limit` open transfers whose time was up before `before`; says how many. Their versions stay."""
    late = (
        select(transfers.c.id)
        .where(transfers.c.state.in_(OPEN), transfers.c.due_at < before, transfers.c.escalated_at.is_(None))
        .order_by(transfers.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    marked = await session.execute(
        update(transfers).where(transfers.c.id.in_(late)).values(escalated_at=now).returning(transfers.c.id),
        execution_options={"synchronize_session": False},
    )
    return len(marked.all())


def _found(transfer: Transfer | None) -> Transfer:
    if transfer is None:
        raise NotFound("not-found")
    return transfer
