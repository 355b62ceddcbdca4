"""One row that many want at once: the ceiling of such a use case, and the way to it.

The ceiling is the least that could be done: a single-row update with a commit of its own, over as many connections of the same
pool.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from tests.bench.federations import superuser
from tests.bench.ground import Ground, calm

CONNECTIONS: Final = 64
_HOT_ROW: Final = """
    CREATE TABLE hot (id int PRIMARY KEY, n int NOT NULL) WITH (fillfactor = 20);
    INSERT INTO hot VALUES (1, 0);
    GRANT ALL ON hot TO PUBLIC
"""


@asynccontextmanager
async def owner(ground: Ground, urls: DatabaseUrls) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to a service's database."""
    connection = await asyncpg.connect(superuser(ground, urls))
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def application(ground: Ground, urls: DatabaseUrls) -> AsyncIterator[Database]:
    """The application's way to a database, in which the row of the ceiling is made."""
    async with owner(ground, urls) as connection:
        await connection.execute(_HOT_ROW)
    database = Database(urls.app, pool_size=CONNECTIONS, application_name="bench")
    try:
        yield database
    finally:
        await database.close()


async def rate(items: Sequence[Any], work: Callable[[Any], Awaitable[None]]) -> float:
    """Items a second, as many at once as there are connections."""
    rest = iter(items)

    async def lane() -> None:
        for item in rest:
            await work(item)

    began = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(CONNECTIONS)))
    return len(items) / (time.perf_counter() - began)


async def updates(ground: Ground, database: Database, number: int) -> float:
    """The ceiling: updates of one row a second, each with a commit."""

    async def update(_: int) -> None:
        async with database.driver() as connection:
            await connection.execute("UPDATE hot SET n = n + 1 WHERE id = 1")

    await calm(ground.postgres_url)
    return await rate(range(number), update)
