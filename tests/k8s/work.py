"""People at work while the cluster is changed: some join, ask for aid and register for an activity, some look on."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from tests.faults.insisting import Refused
from tests.faults.office import Office

#: Seconds between two things that one of them does.
PAUSE: Final = 0.4
#: A replica that has not heard of somebody yet says one of these.
_UNKNOWN: Final = {403, 404, 409}


@dataclass
class Work:
    """At one office; what was acknowledged."""

    office: Office
    activity: Any
    joined: int = 0
    helped: int = 0
    registered: int = 0
    _helpless: deque[Any] = field(default_factory=lambda: deque(maxlen=50))
    _idle: deque[Any] = field(default_factory=lambda: deque(maxlen=50))

    async def until(self, ended: asyncio.Event) -> None:
        """All of them at once."""
        async with asyncio.TaskGroup() as group:
            for life in (self._join, self._ask_for_aid, self._register, self._look):
                group.create_task(self._again(life, ended))

    async def _again(self, life: Callable[[], Awaitable[None]], ended: asyncio.Event) -> None:
        while not ended.is_set():
            await life()
            await asyncio.sleep(PAUSE)

    async def _join(self) -> None:
        member = await self.office.member()
        self.joined += 1
        self._helpless.append(member)
        self._idle.append(member)

    async def _ask_for_aid(self) -> None:
        self.helped += await self._served(self._helpless, self.office.case)

    async def _register(self) -> None:
        self.registered += await self._served(self._idle, partial(self.office.register, self.activity))

    async def _served(self, waiting: deque[Any], serve: Callable[[Any], Awaitable[object]]) -> bool:
        """Whether somebody was served. Who is refused because a replica has not heard of him yet waits again.

        The broker may be away for longer than an office waits.
        """
        if not waiting:
            return False
        member = waiting.popleft()
        try:
            await serve(member)
        except Refused as refusal:
            if refusal.status not in _UNKNOWN:
                raise
            waiting.append(member)
            return False
        return True

    async def _look(self) -> None:
        path = f"/organisations/{self.office.unit}/dashboard"
        await self.office.ask("registrar", "GET", path, params={"days": 1})
