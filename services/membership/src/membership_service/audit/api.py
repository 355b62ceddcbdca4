"""The route of the audit, by this service's own tree."""

from uuid import UUID

from membership_service.organisations import repository as organisations
from shared.database.session import ReadSession
from shared.web.audit import audit_router


async def _path(session: ReadSession, organisation_id: UUID) -> str:
    return (await organisations.get(session, organisation_id)).path


router = audit_router(_path)
