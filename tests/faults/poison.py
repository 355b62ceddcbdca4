"""F12: records that cannot be applied. The partition goes on, the key is parked, the letter says why, redrive acts once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg

from shared.contracts.envelope import Event, event_headers
from shared.database.scope import Scope
from shared.kernel.clock import SystemClock
from shared.kernel.ids import new_id
from shared.messaging.dead_letters import redrive
from shared.testing.waiting import eventually
from tests.faults.cases import Attempt, Case
from tests.faults.ground import Ground
from tests.faults.handlers import KNOWN_TYPE, POISON
from tests.faults.ledger import Found
from tests.faults.scratch import Scratch, scratch_service
from tests.support.scratch import noted

MOST_TRIES = 3
Wire = tuple[bytes | None, Any]


@dataclass(frozen=True)
class Poison:
    """A kind of record that cannot be applied: how it looks on the wire, what its letter must say, whether it can be cured."""

    name: str
    wire: Callable[[Event], Wire]
    cause: str
    is_curable: bool


def _with_type(kind: str) -> Callable[[Event], Wire]:
    def wire(event: Event) -> Wire:
        headers = [(name, value) for name, value in event_headers(event) if name != "ce_type"]
        return event.value(), [*headers, ("ce_type", kind.encode())]

    return wire


KINDS = (
    Poison(
        "bad JSON",
        lambda event: (b'{"note": ', event_headers(event)),
        "UnreadableEvent: data is not JSON",
        False,
    ),
    Poison("unknown type", _with_type("unionhall.scratch.thing.vanished.v1"), "UnknownType: type", True),
    Poison("unknown version", _with_type(KNOWN_TYPE.replace(".v1", ".v2")), "UnknownType: type", True),
    Poison("handler bug", lambda event: (event.value(), event_headers(event)), "ZeroDivisionError", True),
    Poison(
        "5 MB record",
        lambda event: (b"x" * 5_000_000, event_headers(event)),
        "UnreadableEvent: data is not JSON",
        False,
    ),
)


async def poisoned(ground: Ground, attempt: Attempt, *, poison: Poison) -> Found:
    """Good records around a bad one and behind it; then two redrives at once by two workers."""
    async with scratch_service(ground, attempt.seed) as scratch:
        sick = new_id()
        before, bad, *behind = [
            noted(scratch.topic, sick, version, POISON if version == 2 else "") for version in (1, 2, 3, 4)
        ]
        await scratch.publish([*scratch.events(60), before])
        await scratch.publish_raw([(bad, *poison.wire(bad))])
        await scratch.publish([*scratch.events(40), *behind])
        workers = [scratch.worker("consumers"), scratch.worker("consumers")]
        for worker in workers:
            await worker.start(bug=attempt.bug)
        await scratch.read(120)
        found = await _letters(scratch, poison, bad)
        await scratch.rows("INSERT INTO cured VALUES (true)")
        for _ in range(2):
            await _redriven(scratch, poison)
        for worker in workers:
            await worker.ends()
        if not poison.is_curable:
            # Still in their letters, and so not lost.
            kept = await scratch.rows("SELECT 1 FROM dead_letters WHERE state IN ('dead', 'parked')")
            found.expect(len(kept) == 3, f"{len(kept)} letters are kept, not 3")
            for fact in [(bad.subject, event.sequence) for event in (bad, *behind)][: len(kept)]:
                scratch.ledger.remove(fact)
        return found + await scratch.found("effects")


async def _letters(scratch: Scratch, poison: Poison, bad: Event) -> Found:
    """One dead letter with its cause, two parked ones behind it, a mirror without contents."""
    found = Found()
    letters = await scratch.rows('SELECT * FROM dead_letters ORDER BY topic, partition, "offset"')
    states = [letter["state"] for letter in letters]
    found.expect(states == ["dead", "parked", "parked"], f"letters are {states}")
    dead: list[asyncpg.Record] = [letter for letter in letters if letter["state"] == "dead"]
    for letter in dead:
        found.expect(letter["cause"].startswith(poison.cause), f"the cause is {letter['cause']!r}")
        found.expect(letter["tries"] <= MOST_TRIES, f"{letter['tries']} tries")
        found.expect(letter["value"] == poison.wire(bad)[0], "the letter does not hold the record as it came")
    mirrors = await scratch.rows("SELECT 1 FROM outbox WHERE topic LIKE '%dead-letters%'")
    found.expect(len(mirrors) == len(dead), f"{len(mirrors)} mirrors of {len(dead)} letters")
    return found


async def _redriven(scratch: Scratch, poison: Poison) -> None:
    """Ask for a redrive, and wait until it is done (or refused again)."""
    async with scratch.database.write(Scope.nothing()) as session:
        asked = await redrive(session, consumer=f"{scratch.service}.reader", now=SystemClock().now())
        await session.commit()
    if not asked:
        return

    async def is_over() -> bool:
        open_ = await scratch.rows(
            "SELECT 1 FROM dead_letters WHERE redrive_requested_at IS NOT NULL"
            + (" OR state IN ('dead', 'parked')" if poison.is_curable else "")
        )
        return not open_

    await eventually(is_over, 60, every=0.2)


def cases() -> list[Case]:
    """The rows."""
    return [
        Case(
            "F12",
            poison.name,
            partial(poisoned, poison=poison),
            ("no-parking",) if poison.is_curable else ("silent-skip",),
            runs=1,
        )
        for poison in KINDS
    ]
