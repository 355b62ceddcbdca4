"""F3, F14 and F18 for consumers: killed at named points, set back to the beginning, told to stop."""

import asyncio
from functools import partial

from shared.messaging.consumer_apply import Mode
from tests.faults.cases import Attempt, Case
from tests.faults.ground import Ground
from tests.faults.ledger import Found
from tests.faults.scratch import scratch_service

CAUGHT_UP = 60


async def killed_consumer(ground: Ground, attempt: Attempt, *, point: str, mode: Mode) -> Found:
    """Records come while a consumer dies and another takes its place."""
    async with scratch_service(ground, attempt.seed) as scratch:
        await scratch.publish(scratch.events(200))
        consumer = scratch.worker("consumers", mode)
        await consumer.start(crash=f"{point}:{attempt.number + 2}", bug=attempt.bug)
        await consumer.dies()
        await consumer.start(bug=attempt.bug)
        await consumer.is_up()
        began = asyncio.get_running_loop().time()
        await scratch.publish(scratch.events(100))
        await scratch.read(2 * CAUGHT_UP)
        seconds = asyncio.get_running_loop().time() - began
        await consumer.ends()
        found = await scratch.found(mode)
        found.expect(seconds <= CAUGHT_UP, f"caught up after {seconds:.0f} s")
        return found


async def offsets_to_zero(ground: Ground, attempt: Attempt, *, mode: Mode) -> Found:
    """Somebody sets a consumer back to the beginning of the log, in Kafka and in the database."""
    async with scratch_service(ground, attempt.seed) as scratch:
        await scratch.publish(scratch.events(200))
        consumer = scratch.worker("consumers", mode)
        await consumer.start(bug=attempt.bug)
        await scratch.read(2 * CAUGHT_UP)
        await consumer.ends()
        await scratch.rows("UPDATE consumer_offsets SET next_offset = 0")
        await scratch.publish(scratch.events(50))
        await consumer.start(bug=attempt.bug)
        await scratch.read(2 * CAUGHT_UP)
        await consumer.ends()
        return await scratch.found(mode)


async def replayed_view(ground: Ground, attempt: Attempt) -> Found:
    """A view is emptied and read anew under another name, while records come."""
    async with scratch_service(ground, attempt.seed) as scratch:
        await scratch.publish(scratch.events(200))
        old = scratch.worker("consumers", "projection", name="old")
        await old.start(bug=attempt.bug)
        await scratch.publish(scratch.events(50))
        await old.ends()
        await scratch.rows("DELETE FROM counts")
        new = scratch.worker("consumers", "projection", name="new")
        await new.start(bug=attempt.bug)
        await scratch.publish(scratch.events(50))
        await scratch.read(2 * CAUGHT_UP, "new")
        await new.ends()
        return await scratch.found("projection")


async def stopped_worker(ground: Ground, attempt: Attempt) -> Found:
    """SIGTERM while the handler works and records come; then another start."""
    async with scratch_service(ground, attempt.seed) as scratch:
        worker = scratch.worker("relay,consumers", slow=0.3)
        seconds = 0.0
        for _ in range(2):
            await worker.start(bug=attempt.bug)
            await worker.is_up()
            for _ in range(20):
                await scratch.commit(scratch.events(20))
                await asyncio.sleep(0.1)
            seconds = max(seconds, await worker.ends())
        await worker.start(bug=attempt.bug)
        await scratch.relayed(2 * CAUGHT_UP)
        await scratch.read(2 * CAUGHT_UP)
        await worker.ends()
        found = await scratch.found("effects")
        found.expect(seconds < 25, f"ended only after {seconds:.0f} s")
        return found


_KILLED: dict[tuple[str, Mode], tuple[str, ...]] = {
    ("consumer.before_database", "effects"): ("offset-before-database",),
    ("consumer.before_database", "projection"): ("offset-before-database",),
    ("consumer.mid_batch", "effects"): ("effect-outside",),
    ("consumer.mid_batch", "projection"): ("offset-before-database",),
    ("consumer.after_database", "effects"): ("offset-after-database",),
    ("consumer.after_database", "projection"): ("offset-after-database",),
}


def cases() -> list[Case]:
    """The rows."""
    rows = [
        Case("F3", f"{point} ({mode})", partial(killed_consumer, point=point, mode=mode), bugs)
        for (point, mode), bugs in _KILLED.items()
    ]
    zero = "offsets to zero"
    return [
        *rows,
        Case("F14", f"{zero} (effects)", partial(offsets_to_zero, mode="effects"), ("no-inbox",)),
        Case(
            "F14",
            f"{zero} (projection)",
            partial(offsets_to_zero, mode="projection"),
            ("count-without-sequence",),
        ),
        Case("F14", "replay (projection)", replayed_view, ("start-at-the-end",)),
        Case(
            "F18",
            "SIGTERM relay and consumer",
            stopped_worker,
            ("dies-at-sigterm",),
            runs=1,
        ),
    ]
