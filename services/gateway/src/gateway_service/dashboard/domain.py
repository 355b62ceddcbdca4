"""What counts where, and from which day: pure rules that turn a member's events into differences of counts.

A *stock* cell ("status=active") holds how many there are at the end of a day, a *flow* cell ("joined") how many that day.
Only members in the statistics (active, or waiting for a transfer) count by gender, year of birth and employment form; retained
members keep their membership but are not counted (Constitution of the Chinese Trade Unions, art. 5–6).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

from shared.contracts.envelope import Received
from shared.contracts.membership import EmploymentForm, Gender, MemberStatus
from shared.kernel.clock import china_date

FLOWS = ("joined", "left", "transferred_in", "transferred_out")
COUNTED = frozenset({MemberStatus.ACTIVE, MemberStatus.TRANSFERRING})
UNKNOWN = "unknown"
#: The membership service takes no earlier birth.
FIRST_BIRTH_YEAR = 1900

#: First age of each band; the last is open.
AGE_BANDS = (0, 26, 36, 46, 56)


class Difference(NamedTuple):
    """`change` members more or fewer in a cell of a unit, from (stock) or on (flow) `day`."""

    organisation_id: UUID
    cell: str
    day: date
    change: int


@dataclass(frozen=True, slots=True)
class Counted:
    """How a member is counted now. `status` is None once the member is erased: counted nowhere."""

    member_id: UUID
    sequence: int
    day: date
    organisation_id: UUID
    status: str | None
    gender: str = UNKNOWN
    birth_year: int | None = None
    employment_form: str = UNKNOWN

    @property
    def in_statistics(self) -> bool:
        """Whether the member is in the published figures."""
        return self.status in COUNTED

    def cells(self) -> frozenset[str]:
        """The stock cells the member is in."""
        if self.status is None:
            return frozenset()
        status = f"status={self.status}"
        if not self.in_statistics:
            return frozenset({status})
        return frozenset(
            {
                status,
                f"gender={self.gender}",
                f"birth_year={self.birth_year or UNKNOWN}",
                f"employment_form={self.employment_form}",
            }
        )


def after(before: Counted | None, event: Received) -> Counted | None:
    """How the member of `event` is counted after it; `before` itself when the event is old news.

    A change never counts before the day of an earlier change: what is reported late counts from the later day.
    """
    if before and event.sequence <= before.sequence:
        return before
    if event.data is None:
        if before is None:
            return None
        day = max(before.day, china_date(event.time))
        return Counted(before.member_id, event.sequence, day, before.organisation_id, None)
    state = event.data["state"]
    on = date.fromisoformat(event.data["on"])
    return Counted(
        member_id=event.subject,
        sequence=event.sequence,
        day=max(before.day, on) if before else on,
        organisation_id=UUID(state["organisation_id"]),
        status=state["status"],
        gender=state["gender"],
        birth_year=state["birth_year"],
        employment_form=state["employment_form"],
    )


def differences(before: Counted | None, now: Counted) -> Iterable[Difference]:
    """What changes in the units' own counts when a member counted as `before` is counted as `now`."""
    if before:
        gone = (
            before.cells() if before.organisation_id != now.organisation_id else before.cells() - now.cells()
        )
        yield from (Difference(before.organisation_id, cell, now.day, -1) for cell in gone)
    stayed = before is not None and before.organisation_id == now.organisation_id
    came = now.cells() - before.cells() if before and stayed else now.cells()
    yield from (Difference(now.organisation_id, cell, now.day, 1) for cell in came)
    yield from _flows(before, now)


def _flows(before: Counted | None, now: Counted) -> Iterable[Difference]:
    was, now_is = before is not None and before.in_statistics, now.in_statistics
    if not was and now_is:
        yield Difference(now.organisation_id, "joined", now.day, 1)
    elif before and was and not now_is:
        yield Difference(before.organisation_id, "left", now.day, 1)
    elif before and was and before.organisation_id != now.organisation_id:
        yield Difference(before.organisation_id, "transferred_out", now.day, 1)
        yield Difference(now.organisation_id, "transferred_in", now.day, 1)


def stock_cells(on: date) -> list[str]:
    """Every stock cell that can hold somebody on a day."""
    years: list[int | str] = [*range(FIRST_BIRTH_YEAR, on.year + 1), UNKNOWN]
    return [
        *(f"status={status}" for status in MemberStatus),
        *(f"gender={gender}" for gender in Gender),
        *(f"employment_form={form}" for form in EmploymentForm),
        *(f"birth_year={year}" for year in years),
    ]


def age_band(birth_year: str, on: date) -> str:
    """ "26-35", "56+" or "unknown": the band of the age reached in the year of `on`."""
    if birth_year == UNKNOWN:
        return UNKNOWN
    age = on.year - int(birth_year)
    for first, following in pairwise(AGE_BANDS):
        if age < following:
            return f"{first}-{following - 1}"
    return f"{AGE_BANDS[-1]}+"
