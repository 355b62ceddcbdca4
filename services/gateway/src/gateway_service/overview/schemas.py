"""What an overview looks like on the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from gateway_service.composing.schemas import MissingPart


class OverviewParts(BaseModel):
    """Each part as its owner answered, or null: then `missing` says why."""

    membership: dict[str, Any] | None = Field(description="as GET /api/v1/members/{id}")
    cases: dict[str, Any] | None = Field(description="as GET /api/v1/cases?member={id}")
    dossiers: dict[str, Any] | None = Field(description="as GET /api/v1/dossiers?member={id}")
    registrations: dict[str, Any] | None = Field(description="as GET /api/v1/registrations?member={id}")


class Overview(BaseModel):
    """A member as all services know the person at the moment `as_of`, as far as the caller may read there."""

    member_id: UUID
    as_of: datetime
    parts: OverviewParts
    missing: list[MissingPart]
