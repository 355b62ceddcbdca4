"""Whether the database of a worker has the schema that its program expects: a part beside relay, consumers and jobs."""

import asyncio
from contextlib import suppress
from typing import Final

from shared.database.engine import Database
from shared.database.failures import DATABASE_ERRORS
from shared.messaging.parts import Reason, wait_for_stop
from shared.web import health

#: Seconds from one look to the next: until all is well, and then.
_WAITING: Final = 1.0
_WATCHING: Final = 10.0


class SchemaWatch:
    """Says why this worker is not ready. A database that is out of reach is for the other parts to tell."""

    name = "schema"

    def __init__(self, database: Database, head: str) -> None:
        """`head` is the newest migration that the program brings."""
        self._reachable = health.database_reachable(database)
        self._migrated = health.database_migrated(database, head)
        self._reason: Reason | None = None

    def reasons(self) -> list[Reason]:
        """One at most."""
        return [self._reason] if self._reason else []

    async def run(self, stop: asyncio.Event) -> None:
        """Look again and again until `stop`."""
        while not stop.is_set():
            # A connection that is cut meanwhile is looked for again.
            with suppress(*DATABASE_ERRORS):
                if await self._reachable() is None:
                    found = await self._migrated()
                    self._reason = Reason(found.code, found.params) if found else None
            await wait_for_stop(stop, _WAITING if self._reason else _WATCHING)
