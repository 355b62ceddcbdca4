"""A database with the shared tables alone, and the three roles' ways into it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from shared.database.engine import Database
from shared.database.migrations import create_shared_tables
from shared.database.revisions import VERSION_TABLE
from shared.security.keys import KeyRing, Keys
from shared.testing.databases import DatabaseFactory

SERVICE = "membership"


def engine(url: str) -> AsyncEngine:
    return create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), poolclass=NullPool)


@dataclass
class Scene:
    """The audited database: `owner` may do what an intruder with all rights could."""

    owner: AsyncEngine
    app: Database
    worker: Database

    async def tamper(self, *statements: str) -> None:
        """Run statements as the tables' owner, who here stands for whoever got hold of the database."""
        async with self.owner.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))


def _create(connection: Connection) -> None:
    connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num text)"))
    create_shared_tables(Operations(MigrationContext.configure(connection)), SERVICE)


@pytest.fixture(scope="session")
async def audited(make_database: DatabaseFactory) -> AsyncIterator[Scene]:
    """One database for all these tests."""
    urls = make_database(SERVICE, migrated=False)
    owner = engine(urls.owner)
    async with owner.begin() as connection:
        await connection.run_sync(_create)
    scene = Scene(
        owner, Database(urls.app, application_name="app"), Database(urls.worker, application_name="worker")
    )
    yield scene
    await scene.app.close()
    await scene.worker.close()
    await owner.dispose()


@pytest.fixture
async def scene(audited: Scene) -> Scene:
    """The database without any entry; ids begin at 1."""
    await audited.tamper("TRUNCATE audit_entries, audit_chain RESTART IDENTITY")
    return audited


def ring_of(names: str, current: str | None = None) -> KeyRing:
    """A ring whose keys are made of their names: "f1 f2" under every purpose."""
    keys = {name: name.encode().ljust(32, b".") for name in names.split()}
    return KeyRing(
        {
            purpose: Keys(current or names.rsplit(maxsplit=1)[-1], keys)
            for purpose in ("field", "index", "cursor", "audit")
        }
    )


@pytest.fixture
def ring() -> KeyRing:
    return ring_of("k1")
