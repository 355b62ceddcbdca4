"""Every query of the register of employers, and the counts that rates are made of."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.exc import IntegrityError

from membership_service.enterprises.domain import Enterprise, Rate
from membership_service.enterprises.tables import enterprises
from membership_service.members.tables import members
from shared.contracts.membership import MemberStatus
from shared.database.failures import violated_constraint
from shared.database.paths import in_subtree
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import Conflict, NotFound


async def get(session: ReadSession, enterprise_id: UUID) -> Enterprise:
    """The employer. Raises NotFound, also for what the caller may not see."""
    return _found(await session.scalar(select(Enterprise).where(enterprises.c.id == enterprise_id)))


async def get_for_change(session: WriteSession, enterprise_id: UUID) -> Enterprise:
    """The employer, locked until the transaction ends."""
    locked = select(Enterprise).where(enterprises.c.id == enterprise_id).with_for_update(key_share=True)
    return _found(await session.scalar(locked.execution_options(populate_existing=True)))


async def add(session: WriteSession, enterprise: Enterprise) -> None:
    """Write a new employer. Raises Conflict for a credit code that is registered, seen by the caller or not."""
    session.add(enterprise)
    try:
        await session.flush()
    except IntegrityError as error:
        if violated_constraint(error) == "uq_enterprises_credit_code":
            raise Conflict("enterprise-exists", field="credit_code") from None
        raise


async def search(
    session: ReadSession, path: str, words: str | None, after: tuple[str, UUID] | None, limit: int
) -> Sequence[Enterprise]:
    """Up to `limit` employers of a subtree by path and id, whose name contains `words` or whose credit code is that."""
    page = select(Enterprise).where(in_subtree(enterprises.c.path, path))
    if words:
        page = page.where(
            or_(func.strpos(enterprises.c.name, words) > 0, enterprises.c.credit_code == words.upper())
        )
    if after is not None:
        page = page.where(tuple_(enterprises.c.path, enterprises.c.id) > after)
    return (await session.scalars(page.order_by(enterprises.c.path, enterprises.c.id).limit(limit))).all()


async def formation_rate(session: ReadSession, path: str) -> Rate:
    """建会率 of a subtree: employers with a union ÷ employers registered."""
    unionised = func.count().filter(enterprises.c.unionised)
    counts = select(unionised, func.count()).where(in_subtree(enterprises.c.path, path))
    return Rate(*(await session.execute(counts)).one())


async def membership_rate(session: ReadSession, path: str) -> Rate:
    """入会率 of a subtree: members ÷ employees of unionised employers. Retained members are no longer counted."""
    belonging = select(func.count()).where(
        in_subtree(members.c.path, path),
        members.c.status.in_([MemberStatus.ACTIVE, MemberStatus.TRANSFERRING]),
    )
    employees = select(func.coalesce(func.sum(enterprises.c.headcount), 0)).where(
        in_subtree(enterprises.c.path, path), enterprises.c.unionised
    )
    return Rate(
        *(await session.execute(select(belonging.scalar_subquery(), employees.scalar_subquery()))).one()
    )


def _found(enterprise: Enterprise | None) -> Enterprise:
    if enterprise is None:
        raise NotFound("not-found")
    return enterprise
