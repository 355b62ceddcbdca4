"""What another service asks of members on behalf of a user, within that user's rights."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from membership_service.members import repository, sealing
from membership_service.members.documents import DocumentType, check
from membership_service.members.domain import Member
from membership_service.members.use_cases import count_hint, count_miss
from shared.database.session import WriteSession
from shared.kernel.errors import Invalid
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Action, Caller

#: Who decides by exact age, or may unmask anyway, learns the day of birth (settled §31).
_NEEDS_BIRTH_DATE: Final = (
    Action.CASE_CHANGE,
    Action.CASE_APPROVE,
    Action.DOSSIER_DECIDE,
    Action.MEMBER_UNMASK,
)


async def find_by_document(
    session: WriteSession, caller: Caller, by: By, ring: KeyRing, kind: DocumentType, number: str
) -> Member | None:
    """The member with a document: in the caller's scope, and for who enters households also beyond it (settled §27, §30).

    A look beyond is counted, found or not, and audited when somebody is found; the caller of this commits.
    Raises Invalid for a number that cannot be, TooMany when the day's looks are used up.
    """
    checked = check(kind, number, by.today)
    if checked.problem:
        raise Invalid(checked.problem, field="document_number")
    may_look_beyond = bool(caller.paths(Action.DOSSIER_CHANGE))
    if not may_look_beyond:
        caller.require_somewhere(Action.MEMBER_READ)
    blinds = sealing.document_blinds(ring, kind, checked.number)
    found = await repository.find_by_document(session, blinds)
    is_visible = found is not None and any(found.path.startswith(root) for root in caller.visible_paths())
    if found is not None and not is_visible and may_look_beyond:
        await count_hint(session, by)
        session.audit("member.hint", "member", found.id, path=found.path)
        await session.widen_scope(found.path)
        is_visible = True
    elif not is_visible:
        await count_miss(session, by)
    return await repository.get(session, found.id) if found and is_visible else None


async def details(session: WriteSession, caller: Caller, ids: Sequence[UUID]) -> list[Member]:
    """Those of these members whom the caller sees; the read is audited once for each of the caller's subtrees."""
    caller.require_somewhere(Action.MEMBER_READ)
    found = await repository.by_ids(session, ids)
    for root in caller.visible_paths():
        seen = [str(member.id) for member in found if member.path.startswith(root)]
        if seen:
            session.audit("member.details", "member-batch", new_id(), {"ids": ",".join(seen)}, path=root)
    return list(found)


def may_see_birth_date(caller: Caller, path: str) -> bool:
    """Whether the caller is told the day of birth of a member there."""
    return any(caller.allows(action, path) for action in _NEEDS_BIRTH_DATE)
