"""Where to look: the subtrees of a list."""

from uuid import UUID

from shared.database.session import ReadSession
from shared.directory.organisations import path_of_organisation
from shared.kernel.errors import NotFound
from shared.security.policy import Action, Caller


async def roots(session: ReadSession, caller: Caller, organisation_id: UUID | None) -> tuple[str, ...]:
    """The subtrees to look in: that of a unit, or all in which the caller reads. Raises NotFound, Forbidden."""
    if organisation_id is None:
        return caller.require_somewhere(Action.ACTIVITY_READ)
    path = await path_of_organisation(session, organisation_id)
    if path is None:
        raise NotFound("not-found")
    caller.require(Action.ACTIVITY_READ, path)
    return (path,)
