"""What the list of waiting work looks like on the wire."""

from datetime import datetime

from pydantic import BaseModel, Field

from gateway_service.composing.schemas import MissingPart
from shared.web.work import WorkItem


class WaitingItem(WorkItem):
    """One thing that the caller can do now, and the service where it is done."""

    service: str


class WaitingWork(BaseModel):
    """What waits for the caller at the moment `as_of`: what is due first comes first, then what has waited longest."""

    as_of: datetime
    items: list[WaitingItem]
    more: bool = Field(description="a service has more waiting than fits in one answer")
    missing: list[MissingPart]
