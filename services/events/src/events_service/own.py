"""The member who is the caller: what a member without any post may see and do."""

from typing import Final

from sqlalchemy import text

from shared.database.session import ReadSession
from shared.directory.members import MemberReference, read_own_member
from shared.kernel.errors import NotFound
from shared.security.policy import Caller

#: Row-level security shows a member what is announced by the units above, and the own registrations.
_AS_MEMBER: Final = text("""
    SELECT set_config('app.member_id', :id, true), set_config('app.member_path', :path, true)
""")


async def own_member(session: ReadSession, caller: Caller) -> MemberReference:
    """The caller's own membership; from here on the transaction also sees what that member sees. Raises NotFound."""
    found = await find_own_member(session, caller)
    if found is None:
        raise NotFound("no-own-member")
    return found


async def find_own_member(session: ReadSession, caller: Caller) -> MemberReference | None:
    """The same for who may be no member at all."""
    found = await read_own_member(session, caller.issuer, caller.subject)
    if found is None:
        return None
    await session.execute(_AS_MEMBER, {"id": str(found.id), "path": found.path})
    return found
