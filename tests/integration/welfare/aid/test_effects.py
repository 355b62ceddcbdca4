"""What facts of membership do to cases, programmes and dossiers: once each, also doubled, disordered and interrupted."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from aiokafka import AIOKafkaProducer

from shared.contracts import membership as contract
from shared.contracts.envelope import Event, Received, event_headers
from shared.contracts.membership import (
    EmploymentForm,
    Gender,
    MemberEvent,
    MemberState,
    MemberStatus,
    OrganisationDissolved,
    OrganisationKind,
    OrganisationState,
)
from shared.database.engine import Database
from shared.database.session import WriteSession
from shared.kernel.ids import new_id
from shared.messaging.consumer import Consumer
from shared.messaging.publication import publication
from shared.testing.clock import StoppedClock
from shared.testing.waiting import Eventually
from tests.support.aid import YEAR, Aid
from tests.support.welfare import Member, Unit
from welfare_service import effects
from welfare_service.consumers import EFFECTS

Start = Callable[[], Any]


class Stream:
    """The topics of membership, and the service's effects consumer reading them."""

    def __init__(self, kafka: str, database: Database, clock: StoppedClock) -> None:
        self.kafka = kafka
        self.database = database
        self.clock = clock
        self.handler = effects.apply

    async def send(self, *events: Event) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.kafka) as producer:
            for event in events:
                await producer.send_and_wait(
                    event.topic.name,
                    key=str(event.subject).encode(),
                    value=event.value(),
                    headers=event_headers(event),
                )

    @asynccontextmanager
    async def consuming(self, eventually: Eventually) -> AsyncIterator[None]:
        consumer = Consumer(
            EFFECTS,
            effects.TOPICS,
            self.handler,
            "effects",
            self.database,
            self.kafka,
            "latest",
            clock=self.clock,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(consumer.run(stop))
        try:
            await eventually(self._knows_its_partitions, timeout=30)
            yield
        finally:
            stop.set()
            await task

    async def _knows_its_partitions(self) -> bool:
        async with self.database.driver() as connection:
            known = await connection.fetchval(
                "SELECT count(*) FROM consumer_offsets WHERE consumer = $1", EFFECTS
            )
        return bool(known == sum(topic.partitions for topic in effects.TOPICS))


@pytest.fixture
def stream(kafka_bootstrap: str, worker_database: Database, clock: StoppedClock) -> Stream:
    return Stream(kafka_bootstrap, worker_database, clock)


def member_event(
    kind: type[MemberEvent], member: Member, clock: StoppedClock, sequence: int = 2, **fields: Any
) -> Event:
    state = MemberState(
        member_id=member.id,
        organisation_id=member.unit.id,
        status=MemberStatus.WITHDRAWN,
        gender=Gender.FEMALE,
        birth_year=1990,
        employment_form=EmploymentForm.CONTRACT,
        joined_on=date(2020, 1, 1),
        left_on=date(2026, 3, 16),
    )
    return publication(kind(on=date(2026, 3, 16), state=state, **fields), member.id, sequence, clock.now())


def erased(member: Member, clock: StoppedClock) -> Event:
    return Event(
        id=new_id(),
        subject=member.id,
        sequence=9,
        time=clock.now(),
        source=contract.SOURCE,
        type=contract.MEMBER_ERASED,
        topic=contract.MEMBERS,
        data=None,
    )


def dissolved(unit: Unit, successor: Unit, clock: StoppedClock) -> Event:
    state = OrganisationState(
        organisation_id=unit.id,
        number=1,
        code="X",
        name="示例工会",
        kind=OrganisationKind.COUNTY,
        parent_id=None,
        parent_since=date(2020, 1, 1),
        founded_on=date(2020, 1, 1),
        dissolved_on=date(2026, 3, 16),
    )
    return publication(OrganisationDissolved(state=state, successor_id=successor.id), unit.id, 2, clock.now())


async def stage_and_flag(aid: Aid, case: dict[str, Any]) -> tuple[str, str | None, int]:
    [row] = await aid.welfare.rows("SELECT * FROM cases WHERE id = $1", UUID(case["id"]))
    return row["stage"], row["flag_reason"], row["version"]


async def test_who_leaves_is_flagged_once_though_the_fact_comes_twice_and_the_worker_dies(
    aid: Aid, stream: Stream, eventually: Eventually, clock: StoppedClock
) -> None:
    programme = await aid.programme()
    leaver, stayer = await aid.member(), await aid.member()
    waiting = await aid.submitted(programme, leaver)
    over = await aid.step(await aid.submitted(programme, leaver), "rejection", by=aid.approver, reason="x")
    untouched = await aid.submitted(programme, stayer)
    failures = 0

    async def dying(session: WriteSession, events: Sequence[Received]) -> None:
        nonlocal failures
        await effects.apply(session, events)
        if any(event.subject == leaver.id for event in events) and failures < 2:
            failures += 1
            await session.flush_events()
            raise ConnectionError("the process dies before the commit")

    stream.handler = dying
    event = member_event(contract.MemberWithdrawn, leaver, clock)
    async with stream.consuming(eventually):
        await stream.send(event, event)
        await eventually(lambda: _is(aid, waiting, ("submitted", "member-withdrawn", 3)))
        await stream.send(event)
    assert failures == 2
    stream.handler = effects.apply
    async with stream.consuming(eventually):
        await stream.send(event, member_event(contract.MemberChanged, stayer, clock))
        other = await aid.submitted(programme, await aid.member())
        last = member_event(contract.MemberDeceased, await _member_of(aid, other), clock)
        await stream.send(last)
        await eventually(lambda: _is(aid, other, ("submitted", "member-deceased", 3)))
    assert await stage_and_flag(aid, waiting) == ("submitted", "member-withdrawn", 3)
    assert await stage_and_flag(aid, over) == ("rejected", None, 3)
    assert await stage_and_flag(aid, untouched) == ("submitted", None, 2)
    assert await aid.welfare.events(waiting["id"]) == [
        ("case.drafted.v1", 1),
        ("case.submitted.v1", 2),
        ("case.changed.v1", 3),
    ]
    refused = await aid.step(waiting, "approval", by=aid.approver, version=3, expect=409, approved_fen=None)
    assert refused["code"] == "case-flagged"
    looked_at = await aid.step(waiting, "unflagging", by=aid.approver, version=3, reason="已核实")
    assert (await aid.approve(looked_at))["stage"] == "approved"


async def test_of_the_erased_nothing_private_is_left(
    aid: Aid, stream: Stream, eventually: Eventually, clock: StoppedClock
) -> None:
    programme, member = await aid.programme(), await aid.member()
    over = await aid.step(await aid.submitted(programme, member), "rejection", by=aid.approver, reason="x")
    running = await aid.submitted(programme, member)
    async with stream.consuming(eventually):
        await stream.send(erased(member, clock))
        await eventually(lambda: _is(aid, running, ("submitted", "member-erased", 3)))
    refused = await aid.step(running, "unflagging", by=aid.approver, version=3, expect=409, reason="x")
    assert refused["code"] == "case-member-erased"
    await aid.step(running, "rejection", by=aid.approver, version=3, reason="人员信息已删除")
    for case in (over, running):
        detail = await aid.welfare.call("GET", f"/cases/{case['id']}", by=aid.officer)
        assert (detail["reason"], detail["payee_name"], detail["account_masked"]) == (None, None, None)
        [row] = await aid.welfare.rows("SELECT * FROM cases WHERE id = $1", UUID(case["id"]))
        assert row["data_key_wrapped"] is None
        shown = await aid.welfare.call("GET", f"/cases/{case['id']}/history", by=aid.officer)
        assert {entry["reason"] for entry in shown["items"]} == {None}


@pytest.mark.parametrize("backwards", [False, True])
async def test_cases_and_programmes_go_to_the_last_successor_in_any_order(
    aid: Aid, stream: Stream, eventually: Eventually, clock: StoppedClock, *, backwards: bool
) -> None:
    """A is dissolved into B, B into C: partitions of their own, so either may be read first."""
    second = await aid.welfare.unit()
    third = await aid.welfare.unit()
    programme = await aid.programme()
    waiting = await aid.submitted(programme, await aid.member())
    over = await aid.step(
        await aid.submitted(programme, await aid.member()), "withdrawal", by=aid.officer, reason=None
    )
    facts = [dissolved(aid.unit, second, clock), dissolved(second, third, clock)]
    async with stream.consuming(eventually):
        for event in reversed(facts) if backwards else facts:
            await stream.send(event)
            await eventually(partial(_is_known, aid, event))
        await eventually(lambda: _stands(aid, "cases", waiting["id"], third))
        await eventually(lambda: _stands(aid, "programmes", programme["id"], third))
        await eventually(lambda: _stands(aid, "budgets", aid.budget_id, third))
        await stream.send(*facts)
        other = await aid.member(at=third)
        await stream.send(member_event(contract.MemberWithdrawn, other, clock))
        await asyncio.sleep(0.5)
    assert await _stands(aid, "cases", over["id"], aid.unit)
    told = await aid.welfare.events(waiting["id"])
    assert [kind for kind, _ in told[2:]] == ["case.handed-over.v1"] * (1 if backwards else 2)
    officer = await aid.welfare.user("approver", third)
    shown = await aid.welfare.call("GET", f"/cases/{waiting['id']}", by=officer)
    assert shown["organisation_id"] == str(third.id)
    await aid.welfare.call("GET", f"/cases/{waiting['id']}", by=aid.approver, expect=404)
    # The replica of units does not know of the dissolution yet: no new case may be left behind there.
    body = {"organisation_id": str(aid.unit.id), "year": YEAR, "source": "own", "name": "帮扶"}
    money = await aid.welfare.call("POST", "/budgets", by=aid.treasurer, json=body, expect=201)
    late = await aid.case(await aid.programme(budget_id=money["id"]), await aid.member(), expect=409)
    assert late["code"] == "stale-replica"


async def test_a_fact_older_than_the_inbox_has_no_effect(
    aid: Aid, stream: Stream, eventually: Eventually, clock: StoppedClock
) -> None:
    programme, member = await aid.programme(), await aid.member()
    case = await aid.submitted(programme, member)
    old = member_event(contract.MemberWithdrawn, member, StoppedClock(clock.now() - timedelta(days=91)))
    async with stream.consuming(eventually):
        await stream.send(old, member_event(contract.MemberDeceased, member, clock, sequence=3))
        await eventually(lambda: _is(aid, case, ("submitted", "member-deceased", 3)))


async def _is(aid: Aid, case: dict[str, Any], wanted: tuple[str, str | None, int]) -> bool:
    return await stage_and_flag(aid, case) == wanted


async def _is_known(aid: Aid, event: Event) -> bool:
    return bool(await aid.welfare.rows("SELECT FROM successions WHERE organisation_id = $1", event.subject))


async def _stands(aid: Aid, table: str, aggregate: str, unit: Unit) -> bool:
    [row] = await aid.welfare.rows(
        f"SELECT organisation_id, path FROM {table} WHERE id = $1", UUID(aggregate)
    )
    return (row["organisation_id"], row["path"]) == (unit.id, unit.path)


async def _member_of(aid: Aid, case: dict[str, Any]) -> Member:
    return Member(UUID(case["member_id"]), aid.unit, None)
