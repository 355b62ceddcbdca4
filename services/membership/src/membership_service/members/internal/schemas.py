"""Bodies of internal requests and replies about members."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from membership_service.members.documents import DocumentType
from membership_service.members.schemas import MAX_NAMES, Text
from shared.contracts.membership import MemberStatus
from shared.web.body import Body


class DocumentBody(Body):
    """The document that a person showed."""

    document_type: DocumentType
    document_number: Text


class FoundReply(BaseModel):
    """The member with that document and the version seen; both null for somebody who never was a member."""

    member_id: UUID | None
    sequence: int | None


class IdsBody(Body):
    """Members to show."""

    ids: Annotated[list[UUID], Field(max_length=MAX_NAMES)]


class DetailItem(BaseModel):
    """A member as those need it who decide on help. `birth_date` is for them alone: null for every other caller."""

    id: UUID
    name: str
    member_number: str | None
    birth_date: date | None
    status: MemberStatus
    organisation_id: UUID
    version: int


class DetailsReply(BaseModel):
    """Those of the asked-for members whom the caller sees, in no particular order."""

    items: list[DetailItem]
