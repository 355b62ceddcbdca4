"""From what a searcher typed to filters of an indexed query, and the page that they find."""

from collections.abc import Sequence
from uuid import UUID

from membership_service.members import names, phones, repository, sealing
from membership_service.members.documents import normalise
from membership_service.members.domain import Member
from membership_service.members.repository import Filters
from membership_service.members.schemas import SearchBody
from membership_service.organisations import repository as organisations
from shared.database.session import ReadSession
from shared.kernel.errors import Invalid
from shared.security.keys import KeyRing
from shared.security.policy import Action, Caller
from shared.web.paging import PageRequest, page_of

_LAST_FOUR = 4


async def roots(session: ReadSession, caller: Caller, organisation_id: UUID | None) -> tuple[str, ...]:
    """The subtrees to look in: that of a unit, or all in which the caller reads. Raises NotFound, Forbidden."""
    if organisation_id is None:
        return caller.require_somewhere(Action.MEMBER_READ)
    unit = await organisations.get(session, organisation_id)
    caller.require(Action.MEMBER_READ, unit.path)
    return (unit.path,)


def filters_of(body: SearchBody, ring: KeyRing) -> Filters:
    """The filters of a search. Raises Invalid unless exactly one thing is looked for, in a form that could exist."""
    given = [key for key in ("name", "pinyin", "last_four", "phone") if getattr(body, key) is not None]
    if len(given) != 1:
        raise Invalid("search-one-key", field=given[-1] if given else "name")
    name = names.normalise(body.name) if body.name else None
    pinyin = names.pinyin_query(body.pinyin) if body.pinyin else None
    last_four = normalise(body.last_four) if body.last_four else None
    phone = phones.normalise(body.phone) if body.phone else None
    is_good = len(last_four) == _LAST_FOUR if last_four else any((name, pinyin, phone))
    if not is_good:
        raise Invalid("search-key-malformed", field=given[0])
    return Filters(
        status=body.status,
        name=name,
        pinyin=pinyin,
        exact=body.exact,
        last4_blinds=sealing.last4_blinds(ring, last_four) if last_four else (),
        phone_blinds=sealing.phone_blinds(ring, phone) if phone else (),
    )


async def page(
    session: ReadSession, ring: KeyRing, within: Sequence[str], filters: Filters, request: PageRequest
) -> tuple[Sequence[Member], str | None]:
    """One page by path and id, and the cursor of the next. A cursor is good for the same question only."""
    purpose = f"members:{within}:{filters}"
    values = request.after(ring, purpose)
    after = (values[0], UUID(values[1])) if values else None
    found = await repository.page(session, within, filters, after, request.limit + 1)
    return page_of(found, request.limit, ring, purpose, lambda member: [member.path, str(member.id)])
