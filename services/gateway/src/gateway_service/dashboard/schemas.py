"""What a dashboard looks like on the wire."""

from datetime import date, datetime
from uuid import UUID

from pydantic import BaseModel

from gateway_service.dashboard.weighed.schemas import ActivityFigures, AidFigures


class DayOfFlows(BaseModel):
    """Who came and went on a day. Transfers inside the subtree count on both sides."""

    day: date
    joined: int
    left: int
    transferred_in: int
    transferred_out: int


class Dashboard(BaseModel):
    """Members of a unit and all below it at the end of a day, by the tree of that day.

    `members` are those in the statistics (active or waiting for a transfer); gender, age and employment form count these alone.
    `aid` is null for a caller who may not read cases there. `as_of` is the time up to which the figures contain everything that
    their owner has committed, for aid and activities each its own; None while unknown.
    """

    organisation_id: UUID
    on: date
    as_of: datetime | None = None
    members: int
    by_status: dict[str, int]
    by_gender: dict[str, int]
    by_age_band: dict[str, int]
    by_employment_form: dict[str, int]
    per_day: list[DayOfFlows]
    aid: AidFigures | None
    activities: ActivityFigures
