"""Counting events into a slot, reading a dashboard, and growing a new slot beside the live one."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from gateway_service.dashboard import repository
from gateway_service.dashboard.domain import (
    COUNTED,
    FLOWS,
    UNKNOWN,
    Counted,
    Difference,
    after,
    age_band,
    differences,
)
from gateway_service.dashboard.schemas import Dashboard, DayOfFlows
from gateway_service.dashboard.weighed import domain as weighed_domain
from gateway_service.dashboard.weighed import use_cases as weighed
from gateway_service.dashboard.weighed.use_cases import Folded
from gateway_service.facts import repository as facts
from shared.contracts.envelope import Received
from shared.contracts.membership import MEMBERS, ORGANISATIONS
from shared.database.session import ReadSession, WriteSession

#: Facts a rebuild counts in one transaction.
REBUILD_CHUNK = 5_000


async def count_events(session: WriteSession, slot: int, events: Sequence[Received]) -> None:
    """Count new facts into a slot. The result does not depend on how members and organisations interleave."""
    moved = sorted({event.subject for event in events if event.topic == ORGANISATIONS.name})
    if moved:
        await repository.replace_parents(session, slot, moved)
    folded: Folded = Counter()
    members = [event for event in events if event.topic == MEMBERS.name]
    if members:
        await _count_members(session, slot, members, folded)
    others = [event for event in events if event.topic in weighed_domain.TOPICS]
    if others:
        await weighed.count(session, slot, others, folded)
    await repository.add_own(
        session, slot, [Difference(*key, change) for key, change in folded.items() if change]
    )


async def _count_members(
    session: WriteSession, slot: int, events: Sequence[Received], folded: Folded
) -> None:
    known = await repository.counted(session, slot, sorted({event.subject for event in events}))
    changed: dict[UUID, Counted] = {}
    for event in events:
        before = known.get(event.subject)
        now = after(before, event)
        if now is None or now is before:
            continue
        for difference in differences(before, now):
            folded[difference[:3]] += difference.change
        known[event.subject] = changed[event.subject] = now
    if changed:
        await repository.count_members(session, slot, list(changed.values()))


async def read_dashboard(
    session: ReadSession, organisation_id: UUID, on: date, days: int, *, with_aid: bool
) -> Dashboard:
    """Figures of the subtree at the end of `on`, joined and left per day over the `days` days up to it."""
    slot = await repository.live_slot(session)
    stocks = await repository.stocks_on(session, slot, organisation_id, on)
    flows = await repository.flows_between(session, slot, organisation_id, on - timedelta(days=days - 1), on)
    by: dict[str, Counter[str]] = {
        name: Counter() for name in ("status", "gender", "age_band", "employment_form")
    }
    for cell, count in stocks.items():
        dimension, _, value = cell.partition("=")
        if dimension == "birth_year":
            by["age_band"][age_band(value, on)] += count
        else:
            by[dimension][value] += count
    per_day: dict[date, dict[str, int]] = {}
    for flow in flows:
        per_day.setdefault(flow.day, dict.fromkeys(FLOWS, 0))[flow.cell] = flow.how_many
    return Dashboard(
        organisation_id=organisation_id,
        on=on,
        members=sum(by["status"][status] for status in COUNTED),
        by_status=dict(by["status"]),
        by_gender=dict(by["gender"]),
        by_age_band=dict(sorted(by["age_band"].items(), key=lambda item: (item[0] == UNKNOWN, item[0]))),
        by_employment_form=dict(by["employment_form"]),
        per_day=[DayOfFlows(day=day, **counts) for day, counts in per_day.items()],
        aid=await weighed.read_aid(session, slot, organisation_id, on) if with_aid else None,
        activities=await weighed.read_activities(session, slot, organisation_id, on),
    )


async def start_rebuild(session: WriteSession) -> int:
    """Empty the idle slot and begin to build there; a rebuild under way starts over. Returns the slot."""
    slot = 1 - await repository.locked_live_slot(session)
    await repository.empty_slot(session, slot)
    await repository.note_building(session, slot, built_up_to=0)
    return slot


async def build_next(session: WriteSession) -> bool:
    """Count the next facts into the slot under construction; once all are counted, make it live. True when done.

    The last step holds the lock of the view: no batch can slip in between the last fact counted and the switch.
    """
    building = await repository.building(session)
    if building is None:
        return True
    slot, built_up_to = building
    chunk = await facts.facts_after(session, built_up_to, REBUILD_CHUNK)
    if len(chunk) == REBUILD_CHUNK:
        await count_events(session, slot, [event for _, event in chunk])
        await repository.note_building(session, slot, built_up_to=chunk[-1][0])
        return False
    await repository.locked_live_slot(session)
    rest = await facts.facts_after(session, built_up_to, 10 * REBUILD_CHUNK)
    if len(rest) == 10 * REBUILD_CHUNK:
        return False
    await count_events(session, slot, [event for _, event in rest])
    await repository.make_live(session, slot, built_up_to=rest[-1][0] if rest else built_up_to)
    return True
