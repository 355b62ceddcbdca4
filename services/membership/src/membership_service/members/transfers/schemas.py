"""Bodies of requests and replies about transfers."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel

from membership_service.members.documents import DocumentType
from membership_service.members.schemas import Text
from membership_service.members.transfers.domain import Transfer, TransferState
from shared.web.body import Body, Reason


class MemberTransferBody(Body):
    """Ask for the move of a member in sight (the old side), or of oneself."""

    to_organisation_id: UUID
    reason: Reason


class DocumentTransferBody(MemberTransferBody):
    """Ask for the move of somebody whom one sees not, by the document the person brought (the new side)."""

    document_type: DocumentType = DocumentType.RESIDENT_ID
    document_number: Text


class TransferReply(BaseModel):
    """A transfer. Both sides see it; the new side sees the member only once accepted."""

    id: UUID
    member_id: UUID
    member_number: str | None
    from_organisation_id: UUID
    to_organisation_id: UUID
    state: TransferState
    reason: str
    requested_by_subject: str
    requested_at: datetime
    due_at: datetime
    released_at: datetime | None
    escalated_at: datetime | None
    ended_at: datetime | None
    answer: str | None
    version: int

    @classmethod
    def of(cls, transfer: Transfer) -> Self:
        """As it stands."""
        return cls.model_validate(transfer, from_attributes=True)
