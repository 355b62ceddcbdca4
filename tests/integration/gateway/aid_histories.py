"""Made-up cases, activities and registrations for a made-up federation, and their figures counted the slow way."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.contracts.envelope import Received
from shared.contracts.events_service import ACTIVITIES, REGISTRATIONS
from shared.contracts.membership import MEMBERS, ORGANISATIONS
from shared.contracts.welfare import CASES, DOSSIERS, PROGRAMMES
from shared.kernel.ids import new_id
from tests.integration.gateway.histories import FIRST_DAY, History, ancestors

CASE_STAGES = [
    "draft",
    "submitted",
    "returned",
    "approved",
    "disbursing",
    "paid",
    "acknowledged",
    "withdrawn",
]
ACTIVITY_STAGES = ["draft", "approved", "published", "open", "closed", "held", "cancelled"]
SERVICE_OF = {
    CASES.name: "welfare",
    DOSSIERS.name: "welfare",
    PROGRAMMES.name: "welfare",
    ACTIVITIES.name: "events",
    REGISTRATIONS.name: "events",
}


def service_event(
    topic: str, what: str, subject: UUID, sequence: int, on: date | None, state: dict[str, Any]
) -> Received:
    """An event of welfare or of the events service; `what` is kind.verb."""
    service = SERVICE_OF[topic]
    return Received(
        topic=topic,
        partition=0,
        offset=0,
        id=new_id(),
        type=f"unionhall.{service}.{what}.v1",
        source=f"/unionhall/{service}",
        subject=subject,
        sequence=sequence,
        time=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=sequence),
        data={"state": state} if on is None else {"on": on.isoformat(), "state": state},
    )


def case_event(
    case_id: UUID, sequence: int, unit: UUID, member: UUID, stage: str, on: date, **state: Any
) -> Received:
    public = {
        "case_id": str(case_id),
        "case_number": "C-1",
        "organisation_id": str(unit),
        "programme_id": str(UUID(int=1)),
        "member_id": str(member),
        "dossier_id": None,
        "stage": stage,
        "stage_since": "2026-01-01T00:00:00Z",
        "due_on": None,
        "requested_fen": 50_000,
        "approved_fen": 40_000,
        "paid_fen": 40_000,
        "flagged": False,
    }
    return service_event(CASES.name, f"case.{stage}", case_id, sequence, on, public | state)


def activity_event(
    activity_id: UUID, sequence: int, unit: UUID, stage: str, capacity: int, on: date
) -> Received:
    state = {
        "activity_id": str(activity_id),
        "organisation_id": str(unit),
        "title": "示例活动",
        "kind": "outing",
        "stage": stage,
        "mode": "first_come",
        "capacity": capacity,
        "starts_at": "2026-02-01T00:00:00Z",
        "ends_at": "2026-02-01T02:00:00Z",
    }
    return service_event(ACTIVITIES.name, "activity.moved-on", activity_id, sequence, on, state)


def registration_event(
    registration_id: UUID,
    sequence: int,
    unit: UUID,
    member: UUID,
    status: str,
    on: date,
    what: str = "registered",
    **state: Any,
) -> Received:
    public = {
        "registration_id": str(registration_id),
        "activity_id": str(UUID(int=2)),
        "organisation_id": str(unit),
        "member_id": str(member),
        "status": status,
        "registered_at": "2026-01-01T00:00:00Z",
        "attended": False,
        "satisfaction": None,
    }
    return service_event(
        REGISTRATIONS.name, f"registration.{what}", registration_id, sequence, on, public | state
    )


def dossier_event(
    dossier_id: UUID, sequence: int, unit: UUID, members: list[UUID], on: date, what: str = "classified"
) -> Received:
    state = {
        "dossier_id": str(dossier_id),
        "organisation_id": str(unit),
        "status": "open",
        "hardship_class": "deep",
        "member_ids": [str(member) for member in members],
        "classified_on": on.isoformat(),
    }
    return service_event(DOSSIERS.name, f"dossier.{what}", dossier_id, sequence, on, state)


def programme_event(programme_id: UUID, sequence: int, unit: UUID, name: str) -> Received:
    state = {
        "programme_id": str(programme_id),
        "organisation_id": str(unit),
        "name": name,
        "kind": "relief",
        "budget_fen": 1_000_000,
        "starts_on": "2026-01-01",
        "ends_on": "2026-12-31",
    }
    return service_event(PROGRAMMES.name, "programme.opened", programme_id, sequence, None, state)


def add_services(history: History, seed: int, aggregates: int = 25) -> History:
    """Cases of few people in few programmes, activities and registrations; some change their unit, some report late."""
    dice = random.Random(seed)
    units = [subject for subject, stream in history.streams.items() if stream[0].topic == ORGANISATIONS.name]
    people = [subject for subject, stream in history.streams.items() if stream[0].topic == MEMBERS.name][:6]
    for make in (_random_case, _random_activity, _random_registration):
        for _ in range(aggregates):
            subject, member, unit = new_id(), dice.choice(people), dice.choice(units)
            stream: list[Received] = []
            day = FIRST_DAY + timedelta(days=dice.randrange(8))
            for sequence in range(1, dice.randrange(2, 6)):
                stream.append(make(dice, subject, sequence, unit, member, day))
                day += timedelta(days=dice.randrange(-2, 9))
                if dice.random() < 0.2:
                    unit = dice.choice(units)
            history.streams[subject] = stream
    return history


def _random_case(
    dice: random.Random, subject: UUID, sequence: int, unit: UUID, member: UUID, day: date
) -> Received:
    stage = dice.choice(CASE_STAGES)
    money: dict[str, int | None] = {
        "requested_fen": dice.randrange(1, 90),
        "approved_fen": dice.randrange(90),
        "paid_fen": dice.randrange(90),
    }
    if stage in {"draft", "submitted"}:
        money |= {"approved_fen": None, "paid_fen": None}
    programme = str(UUID(int=subject.int % 3 + 1))
    return case_event(subject, sequence, unit, member, stage, day, programme_id=programme, **money)


def _random_activity(
    dice: random.Random, subject: UUID, sequence: int, unit: UUID, member: UUID, day: date
) -> Received:
    del member
    return activity_event(subject, sequence, unit, dice.choice(ACTIVITY_STAGES), dice.randrange(1, 50), day)


def _random_registration(
    dice: random.Random, subject: UUID, sequence: int, unit: UUID, member: UUID, day: date
) -> Received:
    status = dice.choice(["entered", "confirmed", "confirmed", "waiting", "cancelled"])
    score = dice.choice([None, 1, 3, 5])
    return registration_event(
        subject, sequence, unit, member, status, day, attended=dice.random() < 0.5, satisfaction=score
    )


def expected_of_services(history: History, on: date) -> dict[tuple[UUID, str], int]:
    """The figures of all units on a day, from the newest state that held on it."""
    own: Counter[tuple[UUID, str]] = Counter()
    helped: set[tuple[UUID, str]] = set()
    for stream in history.streams.values():
        state = _state_on(stream, on)
        if state is None:
            continue
        unit, topic = UUID(state["organisation_id"]), stream[0].topic
        if topic == CASES.name:
            own.update({(unit, cell): n for cell, n in _case_figures(state).items()})
            if state["stage"] in {"paid", "acknowledged"}:
                helped.add((unit, state["member_id"]))
        elif topic == ACTIVITIES.name:
            own[unit, f"activity.stage={state['stage']}"] += 1
            if state["stage"] in {"published", "open", "closed", "held", "archived"}:
                own[unit, "activity.seats"] += state["capacity"]
        else:
            own.update({(unit, cell): n for cell, n in _registration_figures(state).items()})
    own.update({(unit, "aid.people"): 0 for unit, _ in helped})
    for unit, _ in helped:
        own[unit, "aid.people"] += 1
    totals: Counter[tuple[UUID, str]] = Counter()
    for (unit, cell), count in own.items():
        for ancestor in ancestors(history, unit, on):
            totals[ancestor, cell] += count
    return {key: count for key, count in totals.items() if count}


def _state_on(stream: list[Received], on: date) -> dict[str, Any] | None:
    """The state that held at the end of a day; a change reported late holds from the day of the change before it."""
    if stream[0].topic not in {CASES.name, ACTIVITIES.name, REGISTRATIONS.name}:
        return None
    held, latest = None, date.min
    for event in stream:
        assert event.data is not None
        latest = max(latest, date.fromisoformat(event.data["on"]))
        if latest <= on:
            held = event.data["state"]
    return held


def _case_figures(state: dict[str, Any]) -> dict[str, int]:
    stage, programme = state["stage"], state["programme_id"]
    return {
        f"aid.stage={stage}": 1,
        f"aid.requested={programme}": 0 if stage in {"draft", "withdrawn"} else state["requested_fen"],
        f"aid.approved={programme}": state["approved_fen"]
        if stage in {"approved", "disbursing", "paid", "acknowledged"}
        else 0,
        f"aid.paid={programme}": state["paid_fen"] if stage in {"paid", "acknowledged"} else 0,
        "aid.payments": int(stage in {"paid", "acknowledged"}),
    }


def _registration_figures(state: dict[str, Any]) -> dict[str, int]:
    there = state["status"] != "cancelled"
    rated = there and state["satisfaction"] is not None
    return {
        f"activity.registrations={state['status']}": 1,
        "activity.attended": int(there and state["attended"]),
        "activity.ratings": int(rated),
        "activity.satisfaction": state["satisfaction"] if rated else 0,
    }
