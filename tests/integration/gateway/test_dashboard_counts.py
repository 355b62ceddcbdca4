import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from gateway_service import operate
from gateway_service.dashboard import repository, use_cases
from gateway_service.dashboard.domain import FLOWS
from gateway_service.facts import repository as facts
from shared.contracts.envelope import Received
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from tests.integration.gateway.aid_histories import add_services, expected_of_services
from tests.integration.gateway.histories import DAYS, FIRST_DAY, History, expected, random_history


async def feed(worker: Database, events: Sequence[Received], batch: int) -> None:
    """What the views' consumer does with its batches, announcing left out."""
    for start in range(0, len(events), batch):
        async with worker.write(Scope.everything()) as session:
            slot = await repository.locked_live_slot(session)
            new = await facts.append(session, events[start : start + batch])
            await use_cases.count_events(session, slot, new)
            await session.commit()


async def counted(worker: Database, on: date) -> dict[tuple[UUID, str], int]:
    async with worker.read(Scope.everything()) as session:
        rows = await session.execute(
            text("""
                SELECT organisation_id, cell, CASE WHEN cell = ANY(CAST(:flows AS text[]))
                    THEN sum(count) FILTER (WHERE day = :on)
                    ELSE sum(count) FILTER (WHERE day = 'infinity')
                        - coalesce(sum(count) FILTER (WHERE day > :on AND day < 'infinity'), 0) END AS held
                FROM dashboard_totals WHERE slot = (SELECT live FROM dashboard_state) GROUP BY organisation_id, cell
            """),
            {"on": on, "flows": list(FLOWS)},
        )
        return {(row.organisation_id, row.cell): row.held for row in rows if row.held}


async def fingerprint(worker: Database) -> str:
    async with worker.read(Scope.everything()) as session:
        return await repository.fingerprint(session, await repository.live_slot(session))


async def rebuild(worker: Database) -> None:
    async with worker.write(Scope.everything()) as session:
        await use_cases.start_rebuild(session)
        await session.commit()
    done = False
    while not done:
        async with worker.write(Scope.everything()) as session:
            done = await use_cases.build_next(session)
            await session.commit()


@pytest.mark.parametrize("seed", range(4))
async def test_the_figures_of_every_unit_and_day_equal_a_plain_count(worker: Database, seed: int) -> None:
    history = add_services(random_history(seed), seed)
    await feed(worker, history.interleaved(seed), batch=7)
    for offset in range(0, DAYS, 3):
        on = FIRST_DAY + timedelta(days=offset)
        assert await counted(worker, on) == expected(history, on) | expected_of_services(history, on), on


async def test_the_figures_do_not_depend_on_how_topics_interleave(
    make_database: Callable[[str], DatabaseUrls],
) -> None:
    history = add_services(random_history(99), 99)
    found = set()
    for seed, batch in ((1, 1), (2, 13), (3, 1000)):
        database = Database(make_database("gateway").worker, pool_size=2, application_name="test")
        await feed(database, history.interleaved(seed), batch)
        found.add(await fingerprint(database))
        await database.close()
    assert len(found) == 1


async def test_events_that_come_twice_count_once(worker: Database) -> None:
    events = add_services(random_history(7), 7).interleaved(7)
    await feed(worker, events, batch=20)
    once = await fingerprint(worker)
    await feed(worker, [*events[-90:], *events], batch=11)
    assert await fingerprint(worker) == once


async def test_a_rebuilt_view_equals_the_live_one(worker: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_cases, "REBUILD_CHUNK", 10)
    history = add_services(random_history(5), 5)
    events = history.interleaved(5)
    await feed(worker, events[:150], batch=9)
    async with worker.write(Scope.everything()) as session:
        await use_cases.start_rebuild(session)
        await use_cases.build_next(session)
        await session.commit()
    await feed(worker, events[150:], batch=9)  # the live view goes on while the other is built
    live = await fingerprint(worker)
    done = False
    while not done:
        async with worker.write(Scope.everything()) as session:
            done = await use_cases.build_next(session)
            await session.commit()
    async with worker.read(Scope.everything()) as session:
        assert await repository.live_slot(session) == 1
    assert await fingerprint(worker) == live
    await rebuild(worker)
    assert await fingerprint(worker) == live


async def test_a_spoilt_view_is_told_from_a_sound_one_and_mended_by_a_rebuild(worker: Database) -> None:
    await feed(worker, add_services(random_history(6), 6).interleaved(6), batch=50)
    sound = await fingerprint(worker)
    async with worker.write(Scope.everything()) as session:
        await session.execute(
            text(
                "UPDATE dashboard_totals SET count = count + 1 WHERE cell IN ('status=active', 'aid.people')"
            )
        )
        await session.commit()
    assert await fingerprint(worker) != sound
    await rebuild(worker)
    assert await fingerprint(worker) == sound


async def test_an_operator_compares_the_two_slots(
    worker: Database, urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNIONHALL_WORKER_DATABASE_URL", urls.worker)

    async def same() -> bool | None:
        assert await operate._main(["compare"]) == 0
        found: bool | None = json.loads(capsys.readouterr().out)["same"]
        return found

    await feed(worker, add_services(random_history(8), 8).interleaved(8), batch=50)
    assert await same() is None, "there is nothing to compare with before the first rebuild"
    await rebuild(worker)
    assert await same() is True
    async with worker.write(Scope.everything()) as session:
        await session.execute(text("UPDATE dashboard_totals SET count = count + 1 WHERE slot = 1"))
        await session.commit()
    assert await same() is False
    with pytest.raises(SystemExit):
        await operate._main(["compare", "more"])


async def test_the_application_role_sees_no_total_outside_its_scope(
    make_database: Callable[[str], DatabaseUrls],
) -> None:
    urls = make_database("gateway")
    worker, app = (Database(url, pool_size=2, application_name="test") for url in (urls.worker, urls.app))
    history: History = random_history(8)
    await feed(worker, history.interleaved(8), batch=50)
    for scope in (Scope.nothing(), Scope(("ffff/",))):
        async with app.read(scope) as session:
            assert (await session.execute(text("SELECT count(*) FROM dashboard_totals"))).scalar_one() == 0
            assert (await session.execute(text("SELECT count(*) FROM facts"))).scalar_one() == 0
    await worker.close()
    await app.close()
