"""What `unionhall verify` asks the gateway's database, and what it compares with the owners."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from gateway_service.dashboard.handlers import apply
from gateway_service.invariants import INVARIANTS
from shared.contracts.envelope import Received
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.directory import replica
from shared.kernel.ids import new_id
from tests.integration.gateway.aid_histories import (
    activity_event,
    add_services,
    case_event,
    programme_event,
    registration_event,
)
from tests.integration.gateway.histories import FIRST_DAY, member_event, organisation_event, random_history
from tests.integration.gateway.test_views import post_event
from tests.support.tokens import Issuer

UNIT, MEMBER = new_id(), new_id()


async def feed(worker: Database, events: Sequence[Received]) -> None:
    async with worker.write(Scope.everything()) as session:
        await apply(session, events)
        await session.commit()


async def broken(worker: Database) -> dict[str, list[str]]:
    found = {}
    async with worker.read(Scope.everything()) as session:
        for one in INVARIANTS:
            rows = [str(row[0]) for row in await session.execute(text(one.offenders))]
            if rows:
                found[f"{one.id} {one.what}"] = rows
    return found


async def change(worker: Database, statement: str, **values: Any) -> None:
    async with worker.write(Scope.everything()) as session:
        await session.execute(text(statement), values)
        await session.commit()


async def test_nothing_is_broken_after_a_history_of_everything(worker: Database) -> None:
    await feed(worker, add_services(random_history(3), 3).interleaved(3))
    assert await broken(worker) == {}


@pytest.mark.parametrize("table", ["dashboard_members", "dashboard_weighed"])
async def test_an_aggregate_that_was_not_counted_is_named(worker: Database, table: str) -> None:
    case = new_id()
    subject, column = (MEMBER, "member_id") if table == "dashboard_members" else (case, "id")
    await feed(
        worker,
        [
            member_event(MEMBER, 1, UNIT, "active", FIRST_DAY),
            case_event(case, 1, UNIT, MEMBER, "submitted", FIRST_DAY),
        ],
    )
    assert await broken(worker) == {}
    await change(worker, f"UPDATE {table} SET sequence = 0 WHERE {column} = :subject", subject=subject)
    assert await broken(worker) == {"I2 dashboard": [str(subject)]}


async def test_a_gap_between_versions_is_named_until_it_is_filled(worker: Database) -> None:
    first, second, third = (
        member_event(MEMBER, sequence, UNIT, "active", FIRST_DAY) for sequence in (1, 2, 3)
    )
    recent = [_now(event) for event in (first, third)]
    await feed(worker, recent)
    assert await broken(worker) == {"I6 facts": [str(MEMBER)]}
    # It had been given up and was redriven: late, but no breach.
    await change(
        worker,
        """
        INSERT INTO dead_letters (id, consumer, state, topic, partition, "offset", event_id, type, headers, cause, stack, tries)
        VALUES (:event, 'gateway.views', 'redriven', :topic, 0, 0, :event, 't', '[]', 'c', '{}', 1)
        """,
        event=second.id,
        topic=second.topic,
    )
    await feed(worker, [_now(second)])
    assert await broken(worker) == {}


async def test_an_older_version_that_came_later_is_named(worker: Database) -> None:
    await feed(worker, [_now(member_event(MEMBER, 2, UNIT, "active", FIRST_DAY))])
    await feed(worker, [_now(member_event(MEMBER, 1, UNIT, "active", FIRST_DAY))])
    assert await broken(worker) == {"I6 facts": [str(MEMBER)]}


def _now(event: Received) -> Received:
    return Received(
        **{name: getattr(event, name) for name in Received.__slots__} | {"time": datetime.now(UTC)}
    )


async def test_what_the_gateway_holds_of_others_can_be_compared(
    gateway: httpx.AsyncClient, issuer: Issuer, worker: Database
) -> None:
    case, activity, registration, programme = (new_id() for _ in range(4))
    unit = organisation_event(UNIT, 1, 1, None, FIRST_DAY)
    async with worker.write(Scope.everything()) as session:
        await replica.apply(
            session,
            [unit, post_event("overseer", UNIT, "administrator"), post_event("registrar", UNIT)],
        )
        await session.commit()
    await feed(
        worker,
        [
            unit,
            case_event(case, 1, UNIT, MEMBER, "submitted", FIRST_DAY),
            case_event(case, 2, UNIT, MEMBER, "approved", FIRST_DAY),
            activity_event(activity, 1, UNIT, "open", 5, FIRST_DAY),
            registration_event(registration, 1, UNIT, MEMBER, "confirmed", FIRST_DAY),
            programme_event(programme, 1, UNIT, "示例"),
        ],
    )
    for kind, held, version in (
        ("cases", case, 2),
        ("activities", activity, 1),
        ("registrations", registration, 1),
        ("programmes", programme, 1),
    ):
        address = f"/internal/v1/digest/{kind}"
        answer = await gateway.get(address, headers=issuer.headers("overseer"))
        assert (answer.status_code, answer.json()["count"]) == (200, 1)
        rows = await gateway.get(f"{address}/{held.bytes[15]}", headers=issuer.headers("overseer"))
        assert rows.json() == {str(held): version}
        assert (await gateway.get(address, headers=issuer.headers("registrar"))).status_code == 403
