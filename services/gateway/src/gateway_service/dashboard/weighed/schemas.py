"""What the figures of aid and of activities look like on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field


class ProgrammeFigures(BaseModel):
    """A programme's money in the subtree, in fen. `name` is null until the programme itself has been read."""

    programme_id: UUID
    name: str | None
    requested_fen: int
    approved_fen: int
    paid_fen: int


class AidFigures(BaseModel):
    """Aid of a unit and all below it at the end of a day.

    `requested_fen` leaves out drafts and what was withdrawn; `approved_fen` is what is reserved or paid.
    """

    as_of: datetime | None = None
    cases_by_stage: dict[str, int]
    payments: int = Field(description="cases in which money was paid (人次)")
    people: int = Field(
        description="members who were paid: each counts once in every unit that helped (人数)"
    )
    by_programme: list[ProgrammeFigures]


class ActivityFigures(BaseModel):
    """Activities of a unit and all below it at the end of a day."""

    as_of: datetime | None = None
    by_stage: dict[str, int]
    seats: int = Field(description="of activities that were published and not cancelled")
    registrations: int = Field(description="confirmed: with a seat")
    waiting: int
    in_lottery: int = Field(description="entered in lotteries that are not drawn yet")
    cancelled: int
    attended: int
    ratings: int
    satisfaction: float | None = Field(description="mean of 1 to 5; null for fewer than five ratings")
