"""What one can do with a calendar feed: one function per verb, each in the transaction that it is given."""

from datetime import datetime

from events_service.calendars import domain, repository
from events_service.own import own_member
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound
from shared.security.acting import By
from shared.security.policy import Caller


async def make(session: WriteSession, caller: Caller, by: By, token: str) -> None:
    """Give the caller a feed under the secret `token`, instead of any feed there was."""
    member = await own_member(session, caller)
    await repository.keep(session, member.id, domain.hash_of(token), by.at)
    session.audit("calendar.made", "member", member.id, path=member.path)


async def read(session: ReadSession, token: str, now: datetime) -> bytes:
    """The feed under an address. Raises NotFound for one that is nobody's, or is not any more."""
    token_hash = domain.hash_of(token)
    if not await repository.is_known(session, token_hash):
        raise NotFound("not-found")
    return domain.calendar(await repository.places(session, token_hash, now - domain.KEPT))
