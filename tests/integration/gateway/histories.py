"""Made-up histories of a small federation: organisations that move, members that come, move and go."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from gateway_service.dashboard.domain import FLOWS, Counted, after, differences
from shared.contracts.envelope import Received
from shared.contracts.membership import MEMBERS, ORGANISATIONS
from shared.kernel.ids import new_id

FIRST_DAY = date(2026, 1, 1)
DAYS = 40


def organisation_event(
    organisation_id: UUID,
    number: int,
    sequence: int,
    parent_id: UUID | None,
    since: date,
    what: str = "created",
) -> Received:
    state = {
        "organisation_id": str(organisation_id),
        "number": number,
        "code": f"D{number}",
        "name": f"示例工会 {number}",
        "kind": "county",
        "parent_id": None if parent_id is None else str(parent_id),
        "parent_since": since.isoformat(),
        "founded_on": FIRST_DAY.isoformat(),
        "dissolved_on": None,
    }
    return _event(ORGANISATIONS.name, f"organisation.{what}", organisation_id, sequence, {"state": state})


def member_event(
    member_id: UUID,
    sequence: int,
    organisation_id: UUID,
    status: str,
    on: date,
    what: str = "changed",
    **state: Any,
) -> Received:
    public = {
        "member_id": str(member_id),
        "organisation_id": str(organisation_id),
        "status": status,
        "gender": "female" if member_id.int % 2 else "male",
        "birth_year": 1970 + member_id.int % 30,
        "employment_form": "contract",
        "joined_on": None,
        "left_on": None,
    } | state
    return _event(
        MEMBERS.name, f"member.{what}", member_id, sequence, {"on": on.isoformat(), "state": public}
    )


def _event(topic: str, what: str, subject: UUID, sequence: int, data: dict[str, Any]) -> Received:
    return Received(
        topic=topic,
        partition=0,
        offset=0,
        id=new_id(),
        type=f"unionhall.membership.{what}.v1",
        source="/unionhall/membership",
        subject=subject,
        sequence=sequence,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        data=data,
    )


@dataclass
class History:
    """Events by aggregate, each list in version order."""

    streams: dict[UUID, list[Received]] = field(default_factory=dict)

    def interleaved(self, seed: int) -> list[Received]:
        """All events, the order within each aggregate kept."""
        dice = random.Random(seed)
        heads = dict.fromkeys(self.streams, 0)
        order = []
        while heads:
            subject = dice.choice(sorted(heads))
            order.append(self.streams[subject][heads[subject]])
            heads[subject] += 1
            if heads[subject] == len(self.streams[subject]):
                del heads[subject]
        return order


def random_history(seed: int, organisations: int = 9, members: int = 40) -> History:
    """A tree under one root whose units move now and then, and members who live through some states."""
    dice = random.Random(seed)
    units = [new_id() for _ in range(organisations)]
    history = History()
    parents: list[int | None] = [None]
    for index, unit in enumerate(units):
        parent = dice.randrange(index) if index else None
        if index:
            parents.append(parent)
        history.streams[unit] = [
            organisation_event(unit, index + 1, 1, None if parent is None else units[parent], FIRST_DAY)
        ]
    for _ in range(organisations):
        index = dice.randrange(1, organisations)
        target = dice.randrange(organisations)
        if index in _line(parents, target):
            continue
        parents[index] = target
        stream = history.streams[units[index]]
        # Moves come into force in the order in which they are decided, so that no day ever sees a circle.
        since = FIRST_DAY + timedelta(days=sum(len(s) for s in history.streams.values()) - organisations)
        stream.append(
            organisation_event(units[index], index + 1, len(stream) + 1, units[target], since, "moved")
        )
    for _ in range(members):
        member = new_id()
        history.streams[member] = _life(dice, member, units)
    return history


def _line(parents: list[int | None], index: int) -> set[int]:
    line: set[int] = set()
    at: int | None = index
    while at is not None:
        line.add(at)
        at = parents[at]
    return line


def _life(dice: random.Random, member: UUID, units: list[UUID]) -> list[Received]:
    stream: list[Received] = []
    day, unit = FIRST_DAY + timedelta(days=dice.randrange(5)), dice.choice(units)
    for sequence, status in enumerate(["applied", *dice.choices(_STATUSES, k=dice.randrange(5))], start=1):
        stream.append(member_event(member, sequence, unit, status, day))
        day += timedelta(days=dice.randrange(-2, 9))
        if dice.random() < 0.4:
            unit = dice.choice(units)
    return stream


_STATUSES = ["active", "active", "transferring", "retained", "withdrawn", "deceased"]


def expected(history: History, on: date) -> dict[tuple[UUID, str], int]:
    """The dashboards of all units on a day, counted the slow and obvious way."""
    changes = []
    for stream in history.streams.values():
        before: Counted | None = None
        for event in stream:
            if event.topic != MEMBERS.name:
                continue
            now = after(before, event)
            assert now is not None
            changes += list(differences(before, now))
            before = now
    totals: Counter[tuple[UUID, str]] = Counter()
    for change in changes:
        counts = change.day == on if change.cell in FLOWS else change.day <= on
        if counts:
            for ancestor in ancestors(history, change.organisation_id, on):
                totals[ancestor, change.cell] += change.change
    return {key: count for key, count in totals.items() if count}


def ancestors(history: History, unit: UUID, on: date) -> list[UUID]:
    """The unit and all that stand above it on a day."""
    line, at = [], str(unit)
    while at != "None":
        line.append(UUID(at))
        claims = [event.data["state"] for event in history.streams[UUID(at)] if event.data]
        holding = [claim for claim in claims if claim["parent_since"] <= on.isoformat()] or claims[:1]
        at = str(holding[-1]["parent_id"])
    return line
