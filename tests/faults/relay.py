"""F2: the relay dies before it sends, after the broker has acknowledged, before it stores its progress."""

import asyncio
from functools import partial

from tests.faults.cases import Attempt, Case
from tests.faults.ground import Ground
from tests.faults.ledger import Found
from tests.faults.scratch import scratch_service

#: Seconds that the successor of a dead relay has to catch up, most of them spent waiting until nothing of the dead
#: one can arrive any more.
CAUGHT_UP = 30


async def killed_relay(
    ground: Ground, attempt: Attempt, *, point: str, takeover_wait: float | None = None
) -> Found:
    """Writers commit while a relay dies and its successor takes over; one transaction outlives the dead one."""
    async with scratch_service(ground, attempt.seed, takeover_wait) as scratch:
        relay = scratch.worker("relay")
        # Not the first time: something must have been noted by then.
        await relay.start(crash=f"{point}:{attempt.number + 2}", bug=attempt.bug)
        await relay.is_up()
        async with scratch.slow_commit(scratch.strangers(5)):
            dying = asyncio.create_task(relay.dies())
            while not dying.done():
                await scratch.commit(scratch.events(60))
                await asyncio.sleep(0.2)
            await dying
        successor = scratch.worker("relay,consumers")
        await successor.start(bug=attempt.bug)
        await successor.is_up()
        began = asyncio.get_running_loop().time()
        await scratch.commit(scratch.events(100))
        await scratch.relayed(3 * CAUGHT_UP)
        seconds = asyncio.get_running_loop().time() - began
        await scratch.read(120)
        await successor.ends()
        found = await scratch.found("effects")
        found.expect(seconds <= CAUGHT_UP, f"caught up after {seconds:.0f} s")
        return found


def cases() -> list[Case]:
    """The rows."""
    bugs = {
        "relay.before_send": ("progress-before-send",),
        "relay.after_send": ("no-inbox",),
        "relay.before_progress": ("cursor-on-id",),
    }
    return [Case("F2", point, partial(killed_relay, point=point), bugs[point]) for point in bugs]
