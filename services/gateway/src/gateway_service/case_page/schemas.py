"""What the page of a case looks like on the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from gateway_service.composing.schemas import MissingPart


class PersonName(BaseModel):
    """Who somebody is, for reading. What else the owner says about the person is left out."""

    id: UUID
    name: str
    member_number: str | None = None


class PersonNames(BaseModel):
    """What membership answers to a batch of ids: those that the caller may know."""

    items: list[PersonName]


class CasePage(BaseModel):
    """A case at the moment `as_of`. `history` and `names` are null when their owner did not answer; `missing` says why.

    A person in the case who is not among `names` lies outside of what the caller may read.
    """

    as_of: datetime
    case: dict[str, Any] = Field(description="as GET /api/v1/cases/{id}; its ETag is that of this answer")
    history: dict[str, Any] | None = Field(description="as GET /api/v1/cases/{id}/history")
    names: list[PersonName] | None
    missing: list[MissingPart]
