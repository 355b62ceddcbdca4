"""Where an organisation stands, from the replica."""

from uuid import UUID

from sqlalchemy import text

from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound
from shared.security.policy import Action, Caller

_PATH = text("SELECT path FROM directory_organisations WHERE id = :id")


async def path_of_organisation(session: ReadSession, organisation_id: UUID) -> str | None:
    """The path of a unit today; None while it, or one above it, is unknown."""
    found: str | None = await session.scalar(_PATH, {"id": organisation_id})
    return found


async def subtrees(
    session: ReadSession, caller: Caller, action: Action, organisation_id: UUID | None
) -> tuple[str, ...]:
    """Where a list looks: in the subtree of a unit, or in all where the caller may do `action`. Raises NotFound, Forbidden."""
    within = caller.require_somewhere(action)
    if organisation_id is None:
        return within
    path = await path_of_organisation(session, organisation_id)
    if path is None:
        raise NotFound("not-found")
    caller.require(action, path)
    return (path,)


_PLACE = text("SELECT directory_place(:id)")


async def place_of_organisation(session: WriteSession, organisation_id: UUID) -> str | None:
    """The path under which a new row of this unit is written; None for an unknown or dissolved unit.

    The unit stays where it is until the transaction ends, so a move cannot overlook the row.
    """
    found: str | None = await session.scalar(_PLACE, {"id": organisation_id})
    return found
