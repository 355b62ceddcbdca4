"""Any order of registering, giving up and widening, against a model that a reader can check by eye."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events_service.registrations import repository
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.database.session import WriteSession, driver
from shared.kernel.ids import new_id
from shared.security.acting import By

NOW = datetime(2026, 3, 16, tzinfo=UTC)
_ADD = """
    INSERT INTO registrations (id, activity_id, member_id, organisation_id, path, pool, position, status, registered_at, version)
    SELECT $1, $2, $1, t.organisation_id, t.path, 0, t.position, t.status, $3, 1
    FROM take_seat($2, 0, $3) AS t RETURNING status
"""
_HISTORY = "INSERT INTO registration_history VALUES ($1, 1, 'registered', $2, 'test', 'test')"
_MAKE = """
    INSERT INTO activities (id, organisation_id, path, title, kind, description, place, sessions, starts_at, ends_at,
        audience_organisation_id, audience_genders, audience_forms, audience_roles, mode, capacity, quotas,
        registration_opens_at, registration_closes_at, stage, stage_since, version)
    VALUES ($1, $1, '1/', 't', 'sport', '', 'p', '[]', $2, $2, $1,
        '{}', '{}', '{}', 'first_come', $3, '[]', $2, $2, 'open', $2, 1)
"""
_HISTORY_OF_ACTIVITY = (
    "INSERT INTO activity_history VALUES ($1, 1, 'opened', $2, 'open', 'test', 'test', NULL, '{}')"
)
_SEATS = "INSERT INTO activity_seats VALUES ($1, 0, NULL, $1, '1/', $3, 0, 0, true, $2, false)"

STEPS = st.lists(
    st.one_of(
        st.just(("register", 0)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("widen"), st.integers(1, 3)),
    ),
    max_size=25,
)


@dataclass
class Model:
    """Seats are held by the first who asked and did not give up."""

    seats: int
    order: list[int] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)

    def statuses(self) -> list[str]:
        """By order of registering."""
        live = [one for one in self.order if one not in self.gone]
        confirmed = set(live[: self.seats])
        return [
            "cancelled" if one in self.gone else "confirmed" if one in confirmed else "waiting"
            for one in self.order
        ]


async def _compare(urls: DatabaseUrls, seats: int, steps: Sequence[tuple[str, int]]) -> None:
    model, ids = Model(seats), list[UUID]()
    database = Database(urls.worker, pool_size=1, application_name="test-model")
    connection = await asyncpg.connect(urls.worker)
    by, activity = By("test", "test", NOW), new_id()
    later = NOW + timedelta(days=1)
    try:
        await connection.execute(_MAKE, activity, later, seats)
        await connection.execute(_HISTORY_OF_ACTIVITY, activity, NOW)
        await connection.execute(_SEATS, activity, later, seats)
        for step, number in steps:
            if step == "register":
                ids.append(new_id())
                await connection.execute(_ADD, ids[-1], activity, NOW)
                await connection.execute(_HISTORY, ids[-1], NOW)
                model.order.append(len(model.order))
            elif step == "cancel" and number < len(ids):
                async with database.write(Scope.everything()) as session:
                    pools = await repository.lock(session, [ids[number]])
                    ended = await repository.cancel(session, [ids[number]], None, by)
                    await repository.promote(session, pools, by)
                    await session.commit()
                assert ended == (number not in model.gone)
                model.gone.add(number)
            elif step == "widen":
                model.seats += number
                async with database.write(Scope.everything()) as session:
                    pools = await repository.lock_seats(session, [activity])
                    await _widen(session, activity, model.seats)
                    await repository.promote(session, pools, by)
                    await session.commit()
            found = await connection.fetch(
                "SELECT status FROM registrations WHERE activity_id = $1 ORDER BY position", activity
            )
            assert [row["status"] for row in found] == model.statuses()
    finally:
        await connection.close()
        await database.close()


async def _widen(session: WriteSession, activity: UUID, seats: int) -> None:
    """Write the number of seats as a change of the activity does."""
    connection = await driver(session)
    await connection.execute("UPDATE activity_seats SET seats = $2 WHERE activity_id = $1", activity, seats)
    await connection.execute("UPDATE activities SET capacity = $2 WHERE id = $1", activity, seats)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seats=st.integers(1, 4), steps=STEPS)
def test_seats_are_held_by_the_first_who_did_not_give_up(
    urls: DatabaseUrls, seats: int, steps: list[tuple[str, int]]
) -> None:
    asyncio.run(_compare(urls, seats, steps))
