"""Counting cases, activities and registrations into a slot, and reading their figures."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Final
from uuid import UUID

from gateway_service.dashboard.weighed import repository
from gateway_service.dashboard.weighed.domain import (
    ACTIVITY,
    AID,
    PAYMENTS,
    PEOPLE,
    Weighed,
    after,
    differences,
    presence,
)
from gateway_service.dashboard.weighed.repository import Person
from gateway_service.dashboard.weighed.schemas import ActivityFigures, AidFigures, ProgrammeFigures
from shared.contracts.envelope import Received
from shared.database.session import ReadSession, WriteSession

#: Means of fewer ratings would tell who said what.
FEWEST_RATINGS: Final = 5

Folded = Counter[tuple[UUID, str, date]]


async def count(session: WriteSession, slot: int, events: Sequence[Received], folded: Folded) -> None:
    """Store how the aggregates of these events count now, and add to `folded` what that changes in the units' own cells."""
    known = await repository.weighed(session, slot, sorted({event.subject for event in events}))
    changed: dict[UUID, Weighed] = {}
    payments: Counter[tuple[Person, date]] = Counter()
    for event in events:
        before = known.get(event.subject)
        now = after(before, event)
        if now is None or now is before:
            continue
        for difference in differences(before, now):
            folded[difference[:3]] += difference.change
            if difference.cell == PAYMENTS and event.data:
                member = UUID(event.data["state"]["member_id"])
                payments[(difference.organisation_id, member), difference.day] += difference.change
        known[event.subject] = changed[event.subject] = now
    if changed:
        await repository.store(session, slot, list(changed.values()))
    if payments:
        await _count_people(session, slot, payments, folded)


async def _count_people(
    session: WriteSession, slot: int, payments: Counter[tuple[Person, date]], folded: Folded
) -> None:
    people = sorted({person for person, _ in payments})
    known = await repository.payments(session, slot, people)
    changed: dict[Person, Counter[date]] = {person: Counter(known.get(person, {})) for person in people}
    for (person, day), change in payments.items():
        changed[person][day] += change
    for (unit, member), days in changed.items():
        steps = Counter(presence(days))
        steps.subtract(presence(known.get((unit, member), {})))
        for day, step in steps.items():
            folded[unit, PEOPLE, day] += step
    await repository.store_payments(
        session,
        slot,
        {person: {day: n for day, n in days.items() if n} for person, days in changed.items()},
    )


async def read_aid(session: ReadSession, slot: int, organisation_id: UUID, on: date) -> AidFigures:
    """Aid of the subtree at the end of `on`."""
    cells = await repository.standing_on(session, slot, organisation_id, AID, on)
    by_stage = _by(cells, "stage")
    money = {kind: _by(cells, kind) for kind in ("requested", "approved", "paid")}
    programmes = sorted({UUID(programme) for found in money.values() for programme in found})
    names = await repository.names_of_programmes(session, programmes)
    return AidFigures(
        cases_by_stage=by_stage,
        payments=cells.get(PAYMENTS.removeprefix(AID), 0),
        people=cells.get(PEOPLE.removeprefix(AID), 0),
        by_programme=[
            ProgrammeFigures(
                programme_id=programme,
                name=names.get(programme),
                **{f"{kind}_fen": found.get(str(programme), 0) for kind, found in money.items()},
            )
            for programme in programmes
        ],
    )


async def read_activities(
    session: ReadSession, slot: int, organisation_id: UUID, on: date
) -> ActivityFigures:
    """Activities of the subtree at the end of `on`."""
    cells = await repository.standing_on(session, slot, organisation_id, ACTIVITY, on)
    registrations, ratings = _by(cells, "registrations"), cells.get("ratings", 0)
    mean = round(cells.get("satisfaction", 0) / ratings, 2) if ratings >= FEWEST_RATINGS else None
    return ActivityFigures(
        by_stage=_by(cells, "stage"),
        seats=cells.get("seats", 0),
        registrations=registrations.get("confirmed", 0),
        waiting=registrations.get("waiting", 0),
        in_lottery=registrations.get("entered", 0),
        cancelled=registrations.get("cancelled", 0),
        attended=cells.get("attended", 0),
        ratings=ratings,
        satisfaction=mean,
    )


def _by(cells: dict[str, int], kind: str) -> dict[str, int]:
    """ "stage=paid": 3 as {"paid": 3}."""
    return {
        cell.removeprefix(f"{kind}="): count for cell, count in cells.items() if cell.startswith(f"{kind}=")
    }
