"""The worker looks by itself at what must hold, and says so in a metric."""

import asyncio
import logging
from functools import partial

import pytest

from membership_service.invariants import INVARIANTS
from shared.database.engine import Database
from shared.jobs import JobRunner
from shared.observability.metrics import INVARIANT_BREACHES
from shared.testing.waiting import eventually
from shared.web.invariants import WATCH_EVERY, WATCH_JOB, Invariant, watch_handler
from tests.integration.membership.members.people import admitted, registrars
from tests.support.membership import Federation


async def watch(federation: Federation, *invariants: Invariant) -> None:
    """Let the worker's job look once."""
    await federation.rows("DELETE FROM jobs WHERE kind = $1", WATCH_JOB)
    database = Database(federation.urls.worker, pool_size=2, application_name="test-watch")
    runner = JobRunner(database, {WATCH_JOB: watch_handler(invariants)}, every={WATCH_JOB: WATCH_EVERY})
    stop = asyncio.Event()
    running = asyncio.create_task(runner.run(stop))

    try:
        await eventually(partial(federation.has_run, WATCH_JOB), timeout=10)
    finally:
        stop.set()
        await running
        await database.close()


def shown(invariant: str) -> float:
    """The metric of an invariant."""
    return INVARIANT_BREACHES.labels(invariant)._value.get()  # type: ignore[no-any-return]


async def test_a_breach_raises_the_metric_and_its_end_lowers_it(
    federation: Federation, caplog: pytest.LogCaptureFixture
) -> None:
    unit = await federation.unit()
    member = await admitted(federation, unit["id"], await registrars(federation, unit["id"]))
    mine = Invariant("I6", "members", f"SELECT id FROM members WHERE id = '{member}' AND version <> 2")
    await federation.rows("UPDATE members SET version = 3 WHERE id = $1", member)
    with caplog.at_level(logging.ERROR):
        await watch(federation, mine)
    assert shown("I6") == 1
    assert member in caplog.text
    await federation.rows("UPDATE members SET version = 2 WHERE id = $1", member)
    await watch(federation, mine)
    assert shown("I6") == 0


async def test_what_membership_watches_holds(federation: Federation) -> None:
    unit = await federation.unit()
    await admitted(federation, unit["id"], await registrars(federation, unit["id"]))
    INVARIANT_BREACHES.labels("I12").set(7)
    await watch(federation, *INVARIANTS)
    assert shown("I12") == 0
