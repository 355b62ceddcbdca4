"""The schema is what the tables say, the database alone guards rows, and lists are index ranges."""

import asyncpg
import pytest

from membership_service.metadata import complete_metadata
from shared.database.engine import Database
from shared.database.migrations import run
from shared.database.paths import Path
from shared.database.scope import Scope
from shared.database.session import driver
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from tests.integration.membership.enterprises.test_enterprises import report
from tests.support.membership import Federation, bootstrap


def test_the_migrations_make_what_the_tables_say(make_database: DatabaseFactory) -> None:
    run("membership_service", ["check"], url=make_database("membership").owner)


def test_every_column_of_a_path_follows_its_unit() -> None:
    """One of another type would stay behind when the unit moves."""
    columns = [column for table in complete_metadata().sorted_tables for column in table.columns]
    named = {str(column) for column in columns if column.name.endswith("path")} - {"audit_entries.path"}
    assert {str(column) for column in columns if column.type is Path} == named
    assert {"organisations.path", "enterprises.path", "posts.path", "members.path"} <= named


@pytest.mark.parametrize(
    "table", ["organisations", "organisation_history", "organisation_plans", "enterprises"]
)
async def test_without_a_scope_there_is_no_row_and_with_one_only_its_own(
    federation: Federation, table: str
) -> None:
    """Row-level security alone: the statements name no path."""
    mine, other = await federation.unit(), await federation.unit()
    for unit in (mine, other):
        await federation.call("POST", "/enterprises", json=report(unit["id"]), expect=201)
        move = {"parent_id": other["id"] if unit is mine else mine["id"], "on": "2027-01-01"}
        await federation.call("POST", f"/organisations/{unit['id']}/move", version=1, json=move)
    [row] = await federation.rows("SELECT path FROM organisations WHERE id = $1", mine["id"])
    owner = "id" if table == "organisations" else "area_id" if table == "enterprises" else "organisation_id"
    connection = await asyncpg.connect(federation.urls.app)
    try:
        for scope in (None, "", "%", "1", f"{row['path']}%", "*/"):
            if scope is not None:
                await connection.execute("SELECT set_config('app.scope', $1, false)", scope)
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        await connection.execute("SELECT set_config('app.scope', $1, false)", row["path"])
        seen = await connection.fetch(f"SELECT DISTINCT {owner}::text AS owner FROM {table}")
        assert [record["owner"] for record in seen] == [mine["id"]]
        assert (
            await connection.execute(f"UPDATE {table} SET path = path WHERE {owner} = $1", other["id"])
            == "UPDATE 0"
        )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"UPDATE {table} SET path = '1/' WHERE {owner} = $1", mine["id"])
    finally:
        await connection.close()


async def test_lists_of_the_tree_are_index_ranges_for_the_application_role(
    make_database: DatabaseFactory, clock: StoppedClock
) -> None:
    urls = make_database("membership")
    root_id = await bootstrap(urls, clock)
    owner = await asyncpg.connect(urls.owner)
    root = await owner.fetchval("SELECT path FROM organisations WHERE parent_id IS NULL")
    # Rows of no real unit in a database of this test alone: the planner is to see a large federation.
    database = Database(urls.app, pool_size=1, application_name="test-plans")
    made = """
        INSERT INTO organisations (id, number, code, name, kind, parent_id, parent_since, founded_on, path, version)
        SELECT gen_random_uuid(), 1000000 + n, 'P' || n, 'x', 'group', $1::uuid, '2026-01-01', '2026-01-01',
            $2 || 'f' || to_hex(n % 100) || '/' || to_hex(1000000 + n) || '/', 1
        FROM generate_series(1, 20000) AS n
    """
    try:
        await owner.execute(made, root_id, root)
        await owner.execute("ANALYZE organisations")
        low, high = f"{root}f7/", f"{root}f70"
        for query in (
            "SELECT * FROM organisations WHERE path >= $1 AND path < $2 AND dissolved_on IS NULL ORDER BY path LIMIT 51",
            "SELECT count(*) FROM organisations WHERE path >= $1 AND path < $2",
        ):
            async with database.write(Scope((root,))) as session:
                connection = await driver(session)
                rows = await connection.fetch(
                    f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) {query}", low, high
                )
            plan = "\n".join(row[0] for row in rows)
            assert "Index Cond: ((path >=" in plan, plan
            assert "Seq Scan" not in plan, plan
    finally:
        await owner.close()
        await database.close()
