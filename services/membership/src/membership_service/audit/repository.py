"""Reading of the audit. It is written by every slice through its session, and chained by `shared.security.chain`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from membership_service.metadata import metadata
from shared.database.paths import in_subtree
from shared.database.session import ReadSession

_ENTRIES: Final = metadata.tables["audit_entries"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry: who did what to whom, on which request. `details` holds ids, codes and reasons."""

    id: int
    at: datetime
    actor_issuer: str
    actor_subject: str
    request_id: str | None
    action: str
    subject_kind: str
    subject_id: UUID
    details: dict[str, Any]


async def entries(
    session: ReadSession, path: str, subject: UUID | None, before: int | None, limit: int
) -> Sequence[AuditEntry]:
    """Up to `limit` entries of a subtree, newest first, below the id `before`; those about `subject` alone if it is given."""
    columns = [_ENTRIES.c[name] for name in AuditEntry.__dataclass_fields__]
    page = select(*columns).where(in_subtree(_ENTRIES.c.path, path))
    if subject is not None:
        page = page.where(_ENTRIES.c.subject_id == subject)
    if before is not None:
        page = page.where(_ENTRIES.c.id < before)
    rows = await session.execute(page.order_by(_ENTRIES.c.id.desc()).limit(limit))
    return [AuditEntry(**row) for row in rows.mappings()]
