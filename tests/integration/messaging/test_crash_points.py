"""Three of the rows of `make faults`, so that no change goes in without them: a relay and a consumer that are killed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.testing.databases import DatabaseFactory
from tests.faults.cases import Attempt
from tests.faults.consumer import killed_consumer
from tests.faults.ground import Ground
from tests.faults.ledger import Found
from tests.faults.relay import killed_relay

POINT = "relay.before_send"
pytestmark = pytest.mark.timeout(120)


def counts(found: Found) -> tuple[int, int, int]:
    """What is judged here; how long it takes says little on a machine that builds."""
    return found.lost, found.doubled, found.disordered


@pytest.fixture
async def ground(
    kafka_bootstrap: str, make_database: DatabaseFactory, tmp_path: Path
) -> AsyncIterator[Ground]:
    made = Ground(kafka_bootstrap, make_database, tmp_path)
    yield made
    await made.end()


async def test_nothing_is_lost_when_a_relay_dies_before_it_sends(ground: Ground) -> None:
    assert counts(await killed_relay(ground, Attempt(1), point=POINT, takeover_wait=2.0)) == (0, 0, 0)


async def test_a_relay_that_notes_before_it_sends_is_found_out(ground: Ground) -> None:
    seeded = Attempt(1, bug="progress-before-send")
    assert (await killed_relay(ground, seeded, point=POINT, takeover_wait=2.0)).lost


async def test_each_effect_happens_once_when_a_consumer_dies_in_the_middle(ground: Ground) -> None:
    found = await killed_consumer(ground, Attempt(1), point="consumer.mid_batch", mode="effects")
    assert counts(found) == (0, 0, 0)
