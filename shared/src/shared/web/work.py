"""What waits for somebody: the shape in which every service answers `/internal/v1/work`, and the gateway merges it."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel, Field

#: The longest list that a service gives; whoever has more waiting begins with what is due first.
LARGEST_WORK = 200


class WorkItem(BaseModel):
    """One thing that the caller can do now. `kind` is kind.verb ("case.approve"); `label` is a public number or title."""

    kind: str
    id: UUID
    label: str
    organisation_id: UUID
    since: datetime
    due_on: date | None = Field(description="last working day; null when there is no limit")
    flagged: bool = False


class WorkList(BaseModel):
    """What waits for the caller in one service, by due date, then by age; `more` when LARGEST_WORK did not hold it all."""

    items: list[WorkItem]
    more: bool = False
