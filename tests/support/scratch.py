"""A database that has the shared tables and nothing else, for tests of what every service stands on."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.contracts.envelope import Event, EventData, Topic
from shared.database.migrations import create_shared_tables
from shared.database.provision import DatabaseUrls
from shared.database.revisions import VERSION_TABLE
from shared.kernel.ids import new_id

SERVICE = "scratch"


class Noted(EventData):
    """An event of tests; registered under no name, so no contract knows it."""

    note: str = ""


def noted(topic: Topic, subject: UUID, sequence: int, note: str = "") -> Event:
    """An event of a scratch topic."""
    return Event(
        id=new_id(),
        subject=subject,
        sequence=sequence,
        time=datetime.now(UTC),
        source="/unionhall/scratch",
        type="unionhall.scratch.thing.noted.v1",
        topic=topic,
        data=Noted(note=note),
    )


def prepare(urls: DatabaseUrls, *statements: str) -> None:
    """Make the shared tables and whatever else `statements` make, as the owner does in a migration."""
    asyncio.run(_prepare(urls.owner, statements))


async def _prepare(owner_url: str, statements: tuple[str, ...]) -> None:
    engine = create_async_engine(make_url(owner_url).set(drivername="postgresql+asyncpg"))
    async with engine.begin() as connection:
        await connection.run_sync(_create, statements)
    await engine.dispose()


def _create(connection: Connection, statements: tuple[str, ...]) -> None:
    connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num text)"))
    operations = Operations(MigrationContext.configure(connection))
    create_shared_tables(operations, SERVICE)
    for statement in statements:
        connection.execute(text(statement))
