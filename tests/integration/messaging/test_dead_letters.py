"""Events that cannot be applied: their key waits, everything else goes on, redriving keeps the order."""

from functools import partial

import pytest

from shared.database.scope import Scope
from shared.kernel.clock import SystemClock
from shared.kernel.ids import new_id
from shared.messaging.consumer_redrive import close_letter
from shared.messaging.dead_letters import list_dead_letters, redrive, show_dead_letter
from shared.messaging.topics import dead_letter_topic
from shared.testing import Eventually
from tests.integration.messaging.conftest import Bench
from tests.integration.messaging.consuming import (
    act,
    consumer_of,
    count,
    producing,
    remember,
    rows,
    sequences,
)
from tests.support.scratch import noted


async def test_a_poison_event_parks_its_key_and_is_redriven_in_order(
    bench: Bench, eventually: Eventually
) -> None:
    sick, well = new_id(), [new_id() for _ in range(30)]
    async with producing(bench) as send:
        await send(
            noted(bench.topic, sick, 1), noted(bench.topic, sick, 2, "poison"), noted(bench.topic, sick, 3)
        )
        await send(*(noted(bench.topic, subject, 1) for subject in well))
        bench.start(consumer_of(bench, act, "effects"))
        await eventually(lambda: rows(bench, "SELECT 1 FROM consumer_offsets HAVING sum(next_offset) = 33"))
        await send(noted(bench.topic, sick, 4))
        await eventually(lambda: rows(bench, "SELECT 1 FROM dead_letters HAVING count(*) = 3"))
        assert await sequences(bench, sick) == [1]
        assert await count(bench, "effects") == 31
        async with bench.worker.read(Scope.everything()) as session:
            dead = await list_dead_letters(session)
            parked = await list_dead_letters(session, state="parked")
            letter = await show_dead_letter(session, dead[0]["id"])
        assert len(dead) == 1
        assert len(parked) == 2
        assert letter is not None
        assert letter["tries"] == 3
        assert letter["value"] == '{"note":"poison"}'
        # The cause is kept, what it quoted is not.
        assert letter["cause"] == "ValueError: cannot handle [redacted]"
        assert "act" in letter["stack"][-1]
        mirror = await rows(
            bench, "SELECT payload FROM outbox WHERE topic = $1", dead_letter_topic(letter["consumer"]).name
        )
        assert len(mirror) == 1
        assert b"poison" not in mirror[0]["payload"]
        # Asked too early it dies again, and nothing overtakes it.
        await ask_redrive(bench)
        await eventually(lambda: rows(bench, "SELECT 1 FROM dead_letters WHERE tries = 4"))
        assert await sequences(bench, sick) == [1]
        async with bench.owner() as owner:
            await owner.execute("CREATE TABLE cured ()")
        assert await ask_redrive(bench) == 1
        await eventually(
            lambda: rows(bench, "SELECT 1 FROM dead_letters HAVING bool_and(state = 'redriven')")
        )
        await send(noted(bench.topic, sick, 5))
        await eventually(lambda: rows(bench, "SELECT 1 FROM effects WHERE sequence = 5"))
    assert await sequences(bench, sick) == [1, 2, 3, 4, 5]


async def ask_redrive(bench: Bench) -> int:
    async with bench.app.write(Scope.nothing()) as session:
        asked = await redrive(session, consumer=f"{bench.service}.view", now=SystemClock().now())
        await session.commit()
        return len(asked)


@pytest.mark.parametrize(
    ("value", "headers"),
    [(b"{", None), (b"[]", None), (b"{}", []), (b"{}", [("ce_id", b"nonsense")]), (b"x" * 900_000, None)],
    ids=["half", "list", "bare", "malformed", "huge"],
)
async def test_an_unreadable_record_is_a_dead_letter_and_the_rest_goes_on(
    bench: Bench, eventually: Eventually, value: bytes, headers: list[tuple[str, bytes]] | None
) -> None:
    async with producing(bench) as send:
        await send(noted(bench.topic, new_id(), 1), value=value, headers=headers)
        after = noted(bench.topic, new_id(), 1)
        await send(after)
        bench.start(consumer_of(bench, remember))
        await eventually(lambda: rows(bench, "SELECT 1 FROM seen WHERE subject = $1", after.subject))
        letters = await eventually(lambda: rows(bench, "SELECT state, cause, value FROM dead_letters"))
    assert [letter["state"] for letter in letters] == ["dead"]
    assert letters[0]["cause"].startswith("UnreadableEvent")
    assert letters[0]["value"] == value


async def test_only_what_comes_behind_an_unreadable_record_waits(
    bench: Bench, eventually: Eventually
) -> None:
    sick = new_id()
    async with producing(bench) as send:
        await send(noted(bench.topic, sick, 1))
        await send(noted(bench.topic, sick, 2), value=b"{")
        await send(noted(bench.topic, sick, 3))
        bench.start(consumer_of(bench, act, "effects"))
        await eventually(lambda: rows(bench, "SELECT 1 FROM consumer_offsets HAVING sum(next_offset) = 3"))
    states = await rows(bench, 'SELECT state FROM dead_letters ORDER BY "offset"')
    assert [row["state"] for row in states] == ["dead", "parked"]
    assert await sequences(bench, sick) == [1]


async def test_what_waits_behind_a_closed_letter_goes_on_in_order(
    bench: Bench, eventually: Eventually
) -> None:
    sick, now = new_id(), SystemClock().now()
    async with producing(bench) as send:
        await send(noted(bench.topic, sick, 1), value=b"{")
        await send(noted(bench.topic, sick, 2), noted(bench.topic, sick, 3))
        bench.start(consumer_of(bench, act, "effects"))
        await eventually(lambda: rows(bench, "SELECT 1 FROM dead_letters HAVING count(*) = 3"))
        letters = await rows(bench, 'SELECT id, state FROM dead_letters ORDER BY "offset"')
        assert [letter["state"] for letter in letters] == ["dead", "parked", "parked"]
        first, second, _ = (letter["id"] for letter in letters)
        close = partial(close_letter, bench.worker, by="operator", reason="unreadable, not ours", now=now)
        assert await close(second) is None, "it only waits"
        assert await close(first) == 2
        assert await close(first) is None, "it is closed already"
        await eventually(lambda: rows(bench, "SELECT 1 FROM effects WHERE sequence = 3"))
        await send(noted(bench.topic, sick, 4))
        await eventually(lambda: rows(bench, "SELECT 1 FROM effects WHERE sequence = 4"))
    assert await sequences(bench, sick) == [2, 3, 4]
    states = await rows(bench, 'SELECT state FROM dead_letters ORDER BY "offset"')
    assert [row["state"] for row in states] == ["closed", "redriven", "redriven"]
    noted_down = await rows(
        bench, "SELECT details->>'by' AS by, details->>'reason' AS reason FROM audit_entries"
        " WHERE action = 'dead-letter.closed' AND subject_id = $1", first
    )  # fmt: skip
    assert [tuple(row) for row in noted_down] == [("operator", "unreadable, not ours")]
