"""Where an organisation stands, from the replica."""

from uuid import UUID

from sqlalchemy import text

from shared.database.session import ReadSession

_PATH = text("SELECT path FROM directory_organisations WHERE id = :id")


async def path_of_organisation(session: ReadSession, organisation_id: UUID) -> str | None:
    """The path of a unit today; None while it, or one above it, is unknown."""
    found: str | None = await session.scalar(_PATH, {"id": organisation_id})
    return found
