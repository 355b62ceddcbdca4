"""What a case, an activity or a registration weighs in which cells, and from which day: pure rules.

All these cells are stocks: they hold what there is at the end of a day. Cells begin with "aid." or "activity.", so that what a
reader may see is one range of them. Amounts are fen.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from gateway_service.dashboard.domain import Difference
from shared.contracts.envelope import Received
from shared.contracts.events_service import ACTIVITIES, REGISTRATIONS, ActivityStage, RegistrationStatus
from shared.contracts.welfare import CASES, CaseStage

AID: Final = "aid."
ACTIVITY: Final = "activity."
#: Payments by case, and the persons behind them: whoever was helped by a unit counts there once, however often.
PAYMENTS: Final = f"{AID}payments"
PEOPLE: Final = f"{AID}people"

#: A draft asks for nothing yet; who withdrew, asks for nothing any more.
_ASKING: Final = frozenset(CaseStage) - {CaseStage.DRAFT, CaseStage.WITHDRAWN}
_GRANTED: Final = frozenset(
    {CaseStage.APPROVED, CaseStage.DISBURSING, CaseStage.PAID, CaseStage.ACKNOWLEDGED}
)
_PAID: Final = frozenset({CaseStage.PAID, CaseStage.ACKNOWLEDGED})
#: Stages in which seats are, or were, to be had.
_OFFERED: Final = frozenset(
    {
        ActivityStage.PUBLISHED,
        ActivityStage.OPEN,
        ActivityStage.CLOSED,
        ActivityStage.HELD,
        ActivityStage.ARCHIVED,
    }
)

Cells = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Weighed:
    """How an aggregate counts now."""

    id: UUID
    topic: str
    sequence: int
    day: date
    organisation_id: UUID
    cells: Cells


def _case(state: Mapping[str, Any]) -> dict[str, int]:
    stage, programme = state["stage"], state["programme_id"]
    cells = {f"{AID}stage={stage}": 1}
    if stage in _ASKING:
        cells[f"{AID}requested={programme}"] = state["requested_fen"]
    if stage in _GRANTED:
        cells[f"{AID}approved={programme}"] = state["approved_fen"] or 0
    if stage in _PAID:
        cells[f"{AID}paid={programme}"] = state["paid_fen"] or 0
        cells[PAYMENTS] = 1
    return cells


def _activity(state: Mapping[str, Any]) -> dict[str, int]:
    cells = {f"{ACTIVITY}stage={state['stage']}": 1}
    if state["stage"] in _OFFERED:
        cells[f"{ACTIVITY}seats"] = state["capacity"]
    return cells


def _registration(state: Mapping[str, Any]) -> dict[str, int]:
    cells = {f"{ACTIVITY}registrations={state['status']}": 1}
    if state["status"] == RegistrationStatus.CANCELLED:
        return cells
    if state["attended"]:
        cells[f"{ACTIVITY}attended"] = 1
    if state["satisfaction"] is not None:
        cells[f"{ACTIVITY}ratings"] = 1
        cells[f"{ACTIVITY}satisfaction"] = state["satisfaction"]
    return cells


_WEIGH: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, int]]]] = {
    CASES.name: _case,
    ACTIVITIES.name: _activity,
    REGISTRATIONS.name: _registration,
}
TOPICS: Final = frozenset(_WEIGH)


def after(before: Weighed | None, event: Received) -> Weighed | None:
    """How the aggregate of `event` counts after it; `before` itself when the event is old news.

    A change never counts before the day of an earlier change: what is reported late counts from the later day.
    """
    if event.data is None or (before and event.sequence <= before.sequence):
        return before
    state = event.data["state"]
    on = date.fromisoformat(event.data["on"])
    return Weighed(
        event.subject,
        event.topic,
        event.sequence,
        max(before.day, on) if before else on,
        UUID(state["organisation_id"]),
        {cell: weight for cell, weight in _WEIGH[event.topic](state).items() if weight},
    )


def differences(before: Weighed | None, now: Weighed) -> Iterable[Difference]:
    """What changes in the units' own figures when an aggregate that counted as `before` counts as `now`."""
    if before and before.organisation_id != now.organisation_id:
        yield from (
            Difference(before.organisation_id, cell, now.day, -was) for cell, was in before.cells.items()
        )
        before = None
    known = before.cells if before else {}
    for cell in sorted(known.keys() | now.cells.keys()):
        change = now.cells.get(cell, 0) - known.get(cell, 0)
        if change:
            yield Difference(now.organisation_id, cell, now.day, change)


def presence(payments: Mapping[date, int]) -> dict[date, int]:
    """When somebody with these payments (change per day) begins to count as a person, and stops: +1 and -1 per day."""
    steps, standing = {}, 0
    for day in sorted(payments):
        was, standing = standing, standing + payments[day]
        if (was > 0) != (standing > 0):
            steps[day] = 1 if standing > 0 else -1
    return steps
