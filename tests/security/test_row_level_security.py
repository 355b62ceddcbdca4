"""S3: row-level security alone. No query of the product takes part: bare SELECTs as the application's role, on every table."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import pytest

from tests.security.stage import Stage
from tests.security.world import SERVICES

_GUARDED: Final = """
    SELECT relname, relforcerowsecurity FROM pg_class
    WHERE relkind IN ('r', 'p') AND relrowsecurity AND NOT relispartition ORDER BY relname
"""
_PLACED: Final = """
    SELECT DISTINCT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT c.relrowsecurity
      AND NOT c.relispartition AND a.attname = 'path' AND has_table_privilege(current_user, c.oid, 'SELECT')
    ORDER BY 1
"""
_READABLE: Final = "SELECT has_table_privilege(current_user, $1::text, 'SELECT')"
#: Read without a scope, on purpose: from posts the scope is made in the first place; rules are figures that were published.
OPEN: Final[dict[str, set[str]]] = {
    "membership": {"posts"},
    "welfare": {"rules"},
    "events": set(),
    "gateway": set(),
}
#: None: never set in this session.
SCOPES: Final = (None, "", " ", "%", "*/", "1", "/", "1/%", "' OR true --", "{1/}", ",", "../1/", "\u2215")


@asynccontextmanager
async def connected(stage: Stage, service: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stage.world.urls[service].app)
    try:
        yield connection
    finally:
        await connection.close()


async def guarded(connection: asyncpg.Connection) -> list[str]:
    """The tables under row-level security that the application reads."""
    rows = await connection.fetch(_GUARDED)
    assert all(row["relforcerowsecurity"] for row in rows)
    return [row["relname"] for row in rows if await connection.fetchval(_READABLE, row["relname"])]


async def counted(connection: asyncpg.Connection) -> dict[str, int]:
    """How many rows of each guarded table there are for it to see."""
    return {
        table: await connection.fetchval(f"SELECT count(*) FROM {table}")
        for table in await guarded(connection)
    }


@pytest.mark.parametrize("service", SERVICES)
async def test_every_table_with_a_place_is_guarded(stage: Stage, service: str) -> None:
    async with connected(stage, service) as connection:
        open_tables = [row["relname"] for row in await connection.fetch(_PLACED)]
        assert [name for name in open_tables if not name.startswith("directory_")] == []
        assert await guarded(connection)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("scope", SCOPES)
async def test_without_a_whole_path_there_is_no_row(stage: Stage, service: str, scope: str | None) -> None:
    async with connected(stage, service) as connection:
        if scope is not None:
            await connection.execute("SELECT set_config('app.scope', $1, false)", scope)
        assert {table for table, rows in (await counted(connection)).items() if rows} <= OPEN[service]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_scope_ends_with_its_transaction(stage: Stage, service: str) -> None:
    """Rolled back, committed, and the connection used again: nothing is carried over. Within, the same rows are there."""
    async with connected(stage, service) as connection:
        for end in ("ROLLBACK", "COMMIT", "ROLLBACK"):
            await connection.execute("BEGIN")
            await connection.execute("SELECT set_config('app.scope', '1/', true)")
            within = await counted(connection)
            assert sum(within.values()) > 0
            await connection.execute(end)
            assert {table for table, rows in (await counted(connection)).items() if rows} <= OPEN[service]


@pytest.mark.parametrize("service", ["membership", "welfare", "events"])
async def test_another_branch_shows_none_of_the_rows(stage: Stage, service: str) -> None:
    empty = stage.world.units.get("empty") or await stage.world.unit("empty", stage.world.root)
    await stage.world.pump()
    [own] = await stage.world.rows(service, _path(service), stage.own)
    [other] = await stage.world.rows(service, _path(service), empty)
    async with connected(stage, service) as connection:
        await connection.execute("SELECT set_config('app.scope', $1, false)", other["path"])
        foreign = {table for table, rows in (await counted(connection)).items() if rows}
        await connection.execute("SELECT set_config('app.scope', $1, false)", own["path"])
        mine = {table for table, rows in (await counted(connection)).items() if rows}
    assert len(mine) > 5
    # The unit itself, and that it was made.
    of_itself = (
        {"organisations", "organisation_history", "audit_entries"} if service == "membership" else set()
    )
    assert foreign <= of_itself | OPEN[service]


@pytest.mark.parametrize("service", ["membership", "welfare", "events"])
async def test_the_check_would_see_a_policy_that_is_gone(stage: Stage, service: str) -> None:
    """Seen failing: with one table's security off, bare rows come out."""
    owner = await asyncpg.connect(stage.world.urls[service].owner)
    try:
        await owner.execute("ALTER TABLE audit_entries DISABLE ROW LEVEL SECURITY")
        async with connected(stage, service) as connection:
            assert await connection.fetchval("SELECT count(*) FROM audit_entries") > 0
            assert "audit_entries" in [row["relname"] for row in await connection.fetch(_PLACED)]
    finally:
        await owner.execute("ALTER TABLE audit_entries ENABLE ROW LEVEL SECURITY")
        await owner.close()


def _path(service: str) -> str:
    table = "organisations" if service == "membership" else "directory_organisations"
    return f"SELECT path FROM {table} WHERE id = $1::text::uuid"
