"""Seeded bugs: `python -m tests.faults.variants BUG MODULE ARGUMENTS...` runs a program of the product with one mistake planted.

Each is a mistake that somebody could make in good faith. A fault test that does not notice its own is worth nothing.
"""

import asyncio
import os
import runpy
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated, Any

import asyncpg

from gateway_service.consumers import DIRECTORY
from shared.contracts.envelope import Received
from shared.database.session import WriteSession, driver
from shared.kernel.crash import crash_point
from shared.messaging import inbox, worker
from shared.messaging.consumer import Consumer
from shared.messaging.consumer_apply import Applier
from shared.messaging.consumer_offsets import Move, move
from shared.messaging.relay import Relay
from shared.messaging.relay_sender import Sent
from shared.messaging.relay_source import Look, OutboxSource, Progress, at
from tests.faults.planting import bug, named, put


@bug
def progress_before_send() -> None:
    """The relay notes a page before it sends it."""
    send = Relay._send_and_read_on

    async def early(
        self: Relay, source: OutboxSource, sender: Any, rows: list[asyncpg.Record], in_flight: Any
    ) -> list[asyncpg.Record]:
        await self._note(source, at(self._progress, rows[-1]["id"]), None)
        return await send(self, source, sender, rows, in_flight)

    put(Relay, "_send_and_read_on", early)


@bug
def no_acknowledgement() -> None:
    """The relay takes a page for sent once the client has it."""

    async def at_once(_: Sent) -> None:
        return

    put(Sent, "settled", at_once)


@bug
def cursor_on_id() -> None:
    """The relay remembers the greatest id that it has sent, not a snapshot: slow transactions come too late."""

    async def look(self: OutboxSource, progress: Progress, limit: int) -> Look:
        row = await self._row("SELECT pg_current_snapshot()::text AS target, clock_timestamp() AS at")
        return Look(row["target"], row["at"], await self.page(progress, progress.last_id, limit))

    async def page(self: OutboxSource, _: Progress, after: int, limit: int) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._connection.fetch(
            "SELECT id, event_id, topic, key, type, sequence, source, time, payload, traceparent"
            " FROM outbox WHERE id > $1 ORDER BY id LIMIT $2",
            after,
            limit,
        )
        return rows

    async def one_pass(self: Relay, source: OutboxSource, sender: Any) -> int:
        look_ = await source.look(self._progress, self._page)
        count, rows, last = 0, look_.rows, self._progress.last_id
        while rows:
            await (await sender.send(rows)).settled()
            count, last = count + len(rows), rows[-1]["id"]
            rows = await source.page(self._progress, last, self._page)
        if not count:
            return 0
        crash_point("relay.before_progress")
        await self._note(source, Progress(look_.target, None, last), look_.at)
        return count

    put(OutboxSource, "look", look)
    put(OutboxSource, "page", page)
    put(Relay, "_pass", one_pass)


@bug
def no_inbox() -> None:
    """Effects without an inbox: whatever comes is applied."""

    async def enter(_: Any, __: str, events: Sequence[Received]) -> list[Received]:
        return list(events)

    put(inbox, "enter", enter)


@bug
def inbox_of_an_hour() -> None:
    """What comes later than an hour is not applied any more."""
    put(inbox, "KEPT", timedelta(hours=1))


@bug
def offset_before_database() -> None:
    """The consumer moves on before it has applied what it read."""
    apply = Applier._apply

    async def early(self: Applier, records: Sequence[Any]) -> None:
        async with self._database.driver() as connection:
            await move(connection, self._name, self._moves(records))
        await apply(self, records)

    async def not_here(_: Applier, __: Any, ___: Sequence[Move]) -> None:
        return

    put(Applier, "_apply", early)
    put(Applier, "_move", not_here)


def _offset_afterwards() -> None:
    apply = Applier._apply

    async def late(self: Applier, records: Sequence[Any]) -> None:
        moves = self._moves(records)
        await apply(self, records)
        async with self._database.driver() as connection:
            await move(connection, self._name, moves)

    async def not_here(_: Applier, __: Any, ___: Sequence[Move]) -> None:
        return

    put(Applier, "_apply", late)
    put(Applier, "_move", not_here)


@bug
def offset_after_database() -> None:
    """At least once, and nothing that would notice the second time."""
    _offset_afterwards()
    no_inbox()
    count_without_sequence()


@bug
def effect_outside() -> None:
    """The handler commits by itself, beside the transaction that holds inbox and offsets."""
    from tests.faults import handlers

    apply = Applier._apply
    planted: dict[str, Any] = {}

    async def remember(self: Applier, records: Sequence[Any]) -> None:
        planted["database"] = self._database
        await apply(self, records)

    async def act(_: WriteSession, events: Sequence[Received]) -> None:
        async with planted["database"].driver() as connection:
            await connection.executemany(
                "INSERT INTO effects (subject, sequence) VALUES ($1, $2)",
                [(event.subject, event.sequence) for event in events],
            )

    put(Applier, "_apply", remember)
    put(handlers, "act", act)


@bug
def count_without_sequence() -> None:
    """A counting view that counts whatever comes."""
    from tests.faults import handlers

    async def count(opened: WriteSession, events: Sequence[Received]) -> None:
        connection = await driver(opened)
        for event in events:
            await connection.execute(
                "INSERT INTO counts AS known VALUES ($1, $2, 1) ON CONFLICT (subject)"
                " DO UPDATE SET sequence = excluded.sequence, how_many = known.how_many + 1",
                event.subject,
                event.sequence,
            )

    put(handlers, "count", count)


@bug
def no_parking() -> None:
    """What comes behind a dead letter is applied all the same."""

    async def nobody_waits(_: Applier, __: Any, events: list[Received], *___: Any) -> list[Received]:
        return events

    put(Applier, "_park", nobody_waits)


@bug
def silent_skip() -> None:
    """What cannot be read is passed over without a word."""

    async def nothing(*_: Any, **__: Any) -> None:
        return

    put(Applier, "_bury", nothing)


@bug
def start_at_the_end() -> None:
    """A new consumer begins with what comes next."""
    begin = Consumer.__init__

    def at_the_end(self: Consumer, *arguments: Any, **options: Any) -> None:
        begin(self, *arguments, **{**options, "start": "latest"})

    put(Consumer, "__init__", at_the_end)


@bug
def dies_at_sigterm() -> None:
    """Offsets first, and no orderly end: what has been read at SIGTERM is dropped."""
    apply = Applier._apply
    offset_before_database()
    told, under_way = list[bool](), list[object]()

    def die() -> None:
        told.append(True)
        if under_way:
            os._exit(0)
        # If nothing comes that could be dropped.
        asyncio.get_running_loop().call_later(5, os._exit, 0)

    until_the_end = worker._until_the_end

    async def until_death(*arguments: Any) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, die)
        await until_the_end(*arguments)

    async def drop(self: Applier, records: Sequence[Any]) -> None:
        if self._name == DIRECTORY:
            # Most of what it reads is not looked for afterwards.
            await apply(self, records)
            return
        async with self._database.driver() as connection:
            await move(connection, self._name, self._moves(records))
        if told:
            os._exit(0)
        under_way.append(records)
        await apply(self, records)
        under_way.remove(records)

    put(Applier, "_apply", drop)
    put(worker, "_until_the_end", until_death)


@bug
def commit_after_reply() -> None:
    """The request's transaction ends when FastAPI's own would: after the reply has left."""
    from fastapi import Depends

    from shared.web import session

    put(session, "Write", Annotated[WriteSession, Depends(session.write_session, scope="request")])


@bug
def no_stored_reply() -> None:
    """A repeated key is taken, and forgotten."""
    from shared.web.idempotency import Claim

    async def nothing(*_: Any) -> None:
        return

    put(Claim, "replay", nothing)
    put(Claim, "keep", nothing)


@bug
def ends_at_once() -> None:
    """The reply first, the commit a little later, and SIGTERM ends the process in between."""
    from fastapi import Depends, Request

    from shared.web import session
    from shared.web.app import DrainingServer
    from shared.web.caller import CurrentCaller

    write = session.write_session

    async def late(request: Request, caller: CurrentCaller) -> AsyncIterator[WriteSession]:
        async with asynccontextmanager(write)(request, caller) as opened:
            yield opened
            await asyncio.sleep(0.5)

    put(session, "Write", Annotated[WriteSession, Depends(late, scope="request")])
    put(DrainingServer, "handle_exit", lambda *_: os._exit(0))


@bug
def move_forgets_totals() -> None:
    """A unit that moves takes its links along, but not the counts above it."""
    from gateway_service.dashboard import repository

    changed = "HAVING sum(change) <> 0"
    assert changed in repository._SHIFT_BY_LINKS
    repository._SHIFT_BY_LINKS = repository._SHIFT_BY_LINKS.replace(changed, "HAVING false")


@bug
def rebuild_forgets_the_tail() -> None:
    """The rebuilt view goes live without a last look, under no lock."""
    from gateway_service.dashboard import repository, use_cases
    from gateway_service.facts import repository as facts

    async def build_next(opened: WriteSession) -> bool:
        building = await repository.building(opened)
        assert building
        slot, built_up_to = building
        chunk = await facts.facts_after(opened, built_up_to, use_cases.REBUILD_CHUNK)
        await use_cases.count_events(opened, slot, [event for _, event in chunk])
        if len(chunk) == use_cases.REBUILD_CHUNK:
            await repository.note_building(opened, slot, built_up_to=chunk[-1][0])
            return False
        await asyncio.sleep(3)
        await repository.make_live(opened, slot, built_up_to=built_up_to)
        return True

    put(use_cases, "build_next", build_next)


def main(arguments: Sequence[str]) -> None:
    """Plant and run."""
    name, module, *rest = arguments
    named(name)()
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
