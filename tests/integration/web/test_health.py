"""Checks of readiness against what is really there, and what really is not."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.testing.databases import DatabaseFactory
from shared.web.health import Reason, database_migrated, database_reachable, reasons_of
from tests.support.scratch import SERVICE, prepare


@pytest.fixture
def closed_port() -> int:
    """Nobody listens on the port of TCP's discard service."""
    return 9


@pytest.fixture
def urls(make_database: DatabaseFactory) -> DatabaseUrls:
    urls = make_database(SERVICE)
    prepare(urls, "INSERT INTO schema_version VALUES ('0001_first')")
    return urls


@pytest.fixture
async def database(urls: DatabaseUrls) -> AsyncIterator[Database]:
    database = Database(urls.app, pool_size=1, application_name="test-health")
    yield database
    await database.close()


async def test_the_database_is_reachable_and_its_schema_is_the_expected_one(
    urls: DatabaseUrls, database: Database
) -> None:
    owner = await asyncpg.connect(urls.owner)
    try:
        revision = await owner.fetchval("SELECT version_num FROM schema_version")
    finally:
        await owner.close()
    assert await database_reachable(database)() is None
    assert await database_migrated(database, revision)() is None
    expected = Reason("database-not-migrated", {"expected": "9999_later"})
    assert await database_migrated(database, "9999_later")() == expected


async def test_a_process_that_ran_before_outlives_the_next_migration_and_one_that_starts_later_does_not(
    urls: DatabaseUrls, database: Database
) -> None:
    owner = await asyncpg.connect(urls.owner)
    try:
        revision = await owner.fetchval("SELECT version_num FROM schema_version")
        check = database_migrated(database, revision)
        assert await check() is None
        await owner.execute("UPDATE schema_version SET version_num = '9999_later'")
        assert await check() is None
        newer = Reason("database-newer", {"expected": revision, "found": "9999_later"})
        assert await database_migrated(database, revision)() == newer
        # Taken back below what it needs, it is of no use to the one that ran either.
        await owner.execute("UPDATE schema_version SET version_num = '0000_before'")
        assert await check() == Reason("database-not-migrated", {"expected": revision})
    finally:
        await owner.close()


async def test_without_a_database_both_say_so(closed_port: int) -> None:
    nowhere = Database(
        f"postgresql://nobody:none@127.0.0.1:{closed_port}/none", pool_size=1, application_name="test-health"
    )
    try:
        assert await database_reachable(nowhere)() == Reason("database-unreachable")
        assert await database_migrated(nowhere, "x")() == Reason("database-not-migrated", {"expected": "x"})
    finally:
        await nowhere.close()


async def test_a_check_that_hangs_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.web.health.CHECK_SECONDS", 0.05)

    async def hangs() -> Reason | None:
        await asyncio.sleep(5)
        return None

    assert await reasons_of([hangs]) == [Reason("check-timed-out", {"check": "hangs"})]
