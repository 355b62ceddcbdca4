"""What one can do with a transfer: one function per verb, each in the transaction that it is given.

Order of locks: units (by path, when there are two), then the transfer, then the member.
"""

from uuid import UUID

from sqlalchemy.exc import IntegrityError

from membership_service.members import repository as members
from membership_service.members import sealing
from membership_service.members.documents import DocumentType, check
from membership_service.members.domain import BELONGING, Act, Member
from membership_service.members.transfers import repository
from membership_service.members.transfers.domain import DAYS_TO_ANSWER, Transfer
from membership_service.members.use_cases import count_hint, record
from membership_service.organisations import repository as organisations
from membership_service.organisations.domain import Organisation
from shared.database.failures import violated_constraint
from shared.database.session import WriteSession
from shared.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version


async def request_for_member(
    session: WriteSession, caller: Caller, by: By, member_id: UUID, target_id: UUID, reason: str
) -> Transfer:
    """The old side lets a member of its own go elsewhere: asking is releasing."""
    target = await _target(session, target_id)
    member = await members.get_for_change(session, member_id)
    caller.require(Action.MEMBER_TRANSFER, member.path)
    return await _request(session, by, member, target, reason, is_released=True)


async def request_for_oneself(
    session: WriteSession, caller: Caller, by: By, target_id: UUID, reason: str
) -> Transfer:
    """A member asks for the own move."""
    target = await _target(session, target_id)
    found = await members.find_by_user(session, caller.issuer, caller.subject)
    if found is None:
        raise NotFound("no-own-member")
    await session.widen_scope(found.path)
    member = await members.get_for_change(session, found.id)
    return await _request(session, by, member, target, reason, is_released=False)


async def count_look_up(session: WriteSession, caller: Caller, by: By, target_id: UUID) -> None:
    """Count and audit a look beyond the caller's scope, in a transaction of its own: whatever is found, it stays counted."""
    target = await organisations.get(session, target_id)
    caller.require(Action.MEMBER_TRANSFER, target.path)
    await count_hint(session, by)
    session.audit("member.looked-up", "organisation", target.id, path=target.path)


async def request_by_document(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    document_type: DocumentType,
    document_number: str,
    target_id: UUID,
    reason: str,
) -> Transfer:
    """The new side asks for somebody whom it does not see, by the document; `count_look_up` was committed before.

    Raises NotFound("not-found") for nobody or somebody who belongs nowhere: such a person applies instead.
    """
    target = await organisations.get_to_stand_on(session, target_id)
    caller.require(Action.MEMBER_TRANSFER, target.path)
    checked = check(document_type, document_number, by.today)
    if checked.problem:
        raise Invalid(checked.problem, field="document_number")
    blinds = sealing.document_blinds(ring, document_type, checked.number)
    found = await members.find_by_document(session, blinds)
    if found is None or found.status not in BELONGING:
        raise NotFound("not-found")
    await session.widen_scope(found.path)
    member = await members.get_for_change(session, found.id)
    return await _request(session, by, member, target, reason, is_released=False)


async def release(session: WriteSession, caller: Caller, by: By, transfer_id: UUID, version: int) -> Transfer:
    """The old side lets the member go. The member's version stays: nothing has changed for the member yet."""
    transfer = await repository.get_for_change(session, transfer_id)
    _require_side(caller, transfer.from_path)
    require_version(version, transfer.version)
    transfer.release(by.at)
    session.audit("transfer.released", "transfer", transfer.id, path=transfer.from_path)
    return transfer


async def accept(session: WriteSession, caller: Caller, by: By, transfer_id: UUID, version: int) -> Transfer:
    """The new side takes the member; after escalation the common upper unit may decide so alone."""
    seen = await repository.get(session, transfer_id)
    target = await _target(session, seen.to_organisation_id)
    transfer = await repository.get_for_change(session, transfer_id)
    _require_side(caller, transfer.to_path)
    require_version(version, transfer.version)
    common = transfer.common_path
    from_above = bool(common) and caller.allows(Action.MEMBER_TRANSFER, common)
    transfer.accept(by.at, from_above=from_above)
    member = await _member_of(session, transfer)
    # The member comes under the new path, which the old side's widened scope need not hold.
    await session.widen_scope(target.path)
    entry = member.arrive(target.id, target.path, Act(by, by.today, transfer.reason))
    await record(session, member, entry)
    return transfer


async def refuse(
    session: WriteSession, caller: Caller, by: By, transfer_id: UUID, version: int, answer: str
) -> Transfer:
    """Either side says no."""
    transfer = await repository.get_for_change(session, transfer_id)
    if not any(
        caller.allows(Action.MEMBER_TRANSFER, path) for path in (transfer.from_path, transfer.to_path)
    ):
        raise Forbidden("not-allowed")
    require_version(version, transfer.version)
    transfer.refuse(by.at, answer)
    await _end(session, transfer, by, answer)
    return transfer


async def cancel(
    session: WriteSession, caller: Caller, by: By, transfer_id: UUID, version: int, answer: str
) -> Transfer:
    """Who asked takes it back. Raises NotFound for a transfer of others out of sight, Forbidden for others in sight."""
    transfer = await repository.get_for_change(session, transfer_id)
    if not caller.is_same_user(transfer.requested_by_issuer, transfer.requested_by_subject):
        # A member without a post has the whole own unit in scope here, and is to hear nothing of others' transfers.
        sees = any(caller.allows(Action.MEMBER_READ, path) for path in (transfer.from_path, transfer.to_path))
        raise Forbidden("not-allowed") if sees else NotFound("not-found")
    require_version(version, transfer.version)
    transfer.cancel(by.at, answer)
    await _end(session, transfer, by, answer)
    return transfer


async def bring_own_into_scope(session: WriteSession, caller: Caller) -> None:
    """For a member without a post: the own row and what belongs to it."""
    found = await members.find_by_user(session, caller.issuer, caller.subject)
    if found is not None:
        await session.widen_scope(found.path)


async def _target(session: WriteSession, organisation_id: UUID) -> Organisation:
    """The unit to arrive at, seen by the caller or not; kept from moving."""
    path = await members.organisation_path(session, organisation_id)
    if path is None:
        raise NotFound("not-found")
    await session.widen_scope(path)
    unit = await organisations.get_to_stand_on(session, organisation_id)
    unit.must_stand()
    return unit


async def _request(
    session: WriteSession, by: By, member: Member, target: Organisation, reason: str, *, is_released: bool
) -> Transfer:
    status_before = member.status
    entry = member.request_transfer(target.id, Act(by, by.today, reason))
    transfer = Transfer(
        id=new_id(),
        member_id=member.id,
        member_number=member.member_number,
        from_organisation_id=member.organisation_id,
        from_path=member.path,
        to_organisation_id=target.id,
        to_path=target.path,
        status_before=status_before,
        reason=reason,
        requested_by_issuer=by.issuer,
        requested_by_subject=by.subject,
        requested_at=by.at,
        due_at=by.at + DAYS_TO_ANSWER,
    )
    if is_released:
        transfer.release(by.at)
    repository.add(session, transfer)
    try:
        await record(session, member, entry)
    except IntegrityError as error:
        if violated_constraint(error) == "uq_transfers_open":
            raise Conflict("transfer-exists") from None
        raise
    return transfer


async def _end(session: WriteSession, transfer: Transfer, by: By, answer: str) -> None:
    member = await _member_of(session, transfer)
    entry = member.end_transfer(
        transfer.to_organisation_id, transfer.status_before, Act(by, by.today, answer)
    )
    await record(session, member, entry)


async def _member_of(session: WriteSession, transfer: Transfer) -> Member:
    """The member of a transfer that the caller may decide on, though perhaps not see."""
    await session.widen_scope(transfer.from_path)
    return await members.get_for_change(session, transfer.member_id)


def _require_side(caller: Caller, path: str) -> None:
    """One of the sides is visible already; what is asked here is whether it is the caller's to decide."""
    if not caller.allows(Action.MEMBER_TRANSFER, path):
        raise Forbidden("not-allowed")
