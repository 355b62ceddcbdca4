"""What an auditor is shown."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel

from membership_service.audit.repository import AuditEntry


class AuditEntryView(BaseModel):
    """Who did what to whom. Of people it holds ids only, never a value."""

    id: int
    at: datetime
    actor_issuer: str
    actor_subject: str
    request_id: str | None
    action: str
    subject_kind: str
    subject_id: UUID
    details: dict[str, Any]

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """As it was written."""
        return cls.model_validate(entry, from_attributes=True)
