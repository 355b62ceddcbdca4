"""People at work while the cluster is changed: some join, ask for aid and register for an activity, some look on."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
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
        if not self._helpless:
            return
        member = self._helpless.popleft()
        try:
            await self.office.case(member)
        except Refused as refusal:
            # The broker may be away for longer than an office waits; he asks again.
            if refusal.status not in _UNKNOWN:
                raise
            self._helpless.append(member)
        else:
            self.helped += 1

    async def _register(self) -> None:
        if not self._idle:
            return
        member = self._idle.popleft()
        try:
            await self.office.register(self.activity, member)
        except Refused as refusal:
            if refusal.status not in _UNKNOWN:
                raise
            self._idle.append(member)
        else:
            self.registered += 1

    async def _look(self) -> None:
        path = f"/organisations/{self.office.unit}/dashboard"
        await self.office.ask("registrar", "GET", path, params={"days": 1})
