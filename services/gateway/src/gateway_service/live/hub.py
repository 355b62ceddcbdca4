"""One listener a process, any number of subscribers: who sees a place is told when its figures change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from gateway_service.live.repository import AID, CHANNEL
from shared.database.failures import DATABASE_ERRORS
from shared.database.paths import ancestors
from shared.kernel.errors import TooMany

#: A subscriber that reads slower than this many changes is told to read everything anew.
_QUEUE: Final = 100
_RECONNECT_SECONDS: Final = 2.0
#: Of one user at one process: more windows than anybody looks at, and too few to leave others without connections.
MAX_STREAMS: Final = 10
_RETRY_SECONDS: Final = 20
EVERYWHERE: Final = "*"


@dataclass(eq=False, slots=True)
class Subscriber:
    """A stream of `user` (issuer and subject) at and below `path`. `hears_aid` may change while it is open, as rights do."""

    user: tuple[str, str]
    path: str
    hears_aid: bool
    queue: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(_QUEUE))


class LiveHub:
    """Hands changes announced in the database to the subscribers of this process."""

    def __init__(self, database_url: str) -> None:
        """`database_url` is the application role's; the hub holds one connection of its own."""
        self._url = database_url
        self._subscribers: set[Subscriber] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Stop listening and let all subscribers go."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def subscriber(self, user: tuple[str, str], path: str, *, hears_aid: bool) -> Subscriber:
        """For a new stream. Raises TooMany when this user has enough of them open."""
        if sum(one.user == user for one in self._subscribers) >= MAX_STREAMS:
            raise TooMany("too-many-streams", retry_after=_RETRY_SECONDS)
        return Subscriber(user, path, hears_aid)

    async def changes(self, subscriber: Subscriber, pause: float) -> AsyncIterator[str | None]:
        """Yield "changed" whenever something that the subscriber hears of changed, "reload" when changes may have been missed.

        Also None, once in `pause` seconds however much changes: time to see whether the reader may still listen.
        """
        queue = subscriber.queue
        self._subscribers.add(subscriber)
        clock = asyncio.get_running_loop()
        until = clock.time() + pause
        try:
            while True:
                news: str | None = None
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(until):
                        news = await queue.get()
                if news is None:
                    until = clock.time() + pause
                while not queue.empty():  # several changes at once are one piece of news
                    news = queue.get_nowait()
                yield news
        finally:
            self._subscribers.discard(subscriber)

    def hear(self, payload: str) -> None:
        """Pass an announcement on."""
        kind, _, listed = payload.partition(" ")
        places = listed.split(",")
        concerned = {ancestor for place in places if place != EVERYWHERE for ancestor in ancestors(place)}
        for one in self._subscribers:
            if kind == AID and not one.hears_aid:
                continue
            if EVERYWHERE in places or one.path in concerned or any(p.startswith(one.path) for p in places):
                self._tell(one.queue, "changed")

    @staticmethod
    def _tell(queue: asyncio.Queue[str], news: str) -> None:
        if not queue.full():
            queue.put_nowait(news)

    async def _listen(self) -> None:
        while True:
            try:
                connection = await asyncpg.connect(self._url)
            except DATABASE_ERRORS:
                await asyncio.sleep(_RECONNECT_SECONDS)
                continue
            try:
                await self._hear_all(connection)
            except DATABASE_ERRORS:
                await asyncio.sleep(_RECONNECT_SECONDS)
            finally:
                connection.terminate()

    async def _hear_all(self, connection: asyncpg.Connection) -> None:
        """Listen until the connection is lost. Whatever was announced before is unknown: everybody reads anew."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(CHANNEL, lambda *announcement: self.hear(str(announcement[3])))
        for one in self._subscribers:
            self._tell(one.queue, "reload")
        await lost.wait()
