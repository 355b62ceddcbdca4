"""The route of the audit."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from membership_service.audit import repository
from membership_service.audit.schemas import AuditEntryView
from membership_service.organisations import repository as organisations
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import Keys, Write

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
    subject: Annotated[UUID | None, Query(description="only what was done to this member, post, …")] = None,
) -> Page[AuditEntryView]:
    """Who read and who changed at a unit and all below it, newest first. Who asks leaves an entry as well."""
    top = await organisations.get(session, organisation)
    caller.require(Action.AUDIT_READ, top.path)
    purpose = f"audit:{top.id}:{subject}"
    after = page.after(ring, purpose)
    found = await repository.entries(session, top.path, subject, after[0] if after else None, page.limit + 1)
    session.audit("audit.read", "organisation", top.id, path=top.path)
    entries, cursor = page_of(found, page.limit, ring, purpose, lambda entry: [entry.id])
    return Page(items=[AuditEntryView.of(entry) for entry in entries], next_cursor=cursor)
