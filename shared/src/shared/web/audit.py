"""`/api/v1/audit` of every service that audits: who read and who changed, for auditors.

Entries are written by every slice through its session, and chained by `shared.security.chain`.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import MetaData, select

from shared.database.paths import in_subtree
from shared.database.session import ReadSession
from shared.kernel.errors import NotFound
from shared.security.audit import audit_tables
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import Keys, Write

_ENTRIES: Final = audit_tables(MetaData())[0]

#: Where a unit stands today; None for an unknown one.
PathReader = Callable[[ReadSession, UUID], Awaitable[str | None]]


class AuditEntryView(BaseModel):
    """Who did what to whom, on which request. Of people it holds ids, codes and reasons only."""

    id: int
    at: datetime
    actor_issuer: str
    actor_subject: str
    request_id: str | None
    action: str
    subject_kind: str
    subject_id: UUID
    details: dict[str, Any]


def audit_router(path_of_organisation: PathReader) -> APIRouter:
    """The route of the audit for a service that knows by `path_of_organisation` where units stand."""
    router = api_router("/api/v1/audit", "audit")

    @router.get("")
    async def list_audit(
        organisation: Annotated[
            UUID, Query(description="the unit whose entries, with those of all below it, are listed")
        ],
        page: PageQuery,
        session: Write,
        caller: CurrentCaller,
        ring: Keys,
        subject: Annotated[
            UUID | None, Query(description="only what was done to this member, dossier, post, …")
        ] = None,
    ) -> Page[AuditEntryView]:
        """Who read and who changed at a unit and all below it, newest first. Who asks leaves an entry as well."""
        path = await path_of_organisation(session, organisation)
        if path is None:
            raise NotFound("not-found")
        caller.require(Action.AUDIT_READ, path)
        purpose = f"audit:{organisation}:{subject}"
        after = page.after(ring, purpose)
        found = await _entries(session, path, subject, after[0] if after else None, page.limit + 1)
        session.audit("audit.read", "organisation", organisation, path=path)
        entries, cursor = page_of(found, page.limit, ring, purpose, lambda entry: [entry.id])
        return Page(items=list(entries), next_cursor=cursor)

    return router


async def _entries(
    session: ReadSession, path: str, subject: UUID | None, before: int | None, limit: int
) -> Sequence[AuditEntryView]:
    """Up to `limit` entries of a subtree, newest first, below the id `before`; those about `subject` alone if it is given."""
    columns = [_ENTRIES.c[name] for name in AuditEntryView.model_fields]
    page = select(*columns).where(in_subtree(_ENTRIES.c.path, path))
    if subject is not None:
        page = page.where(_ENTRIES.c.subject_id == subject)
    if before is not None:
        page = page.where(_ENTRIES.c.id < before)
    rows = await session.execute(page.order_by(_ENTRIES.c.id.desc()).limit(limit))
    return [AuditEntryView.model_validate(dict(row)) for row in rows.mappings()]
