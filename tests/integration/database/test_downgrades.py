"""The migrations of every service go back to nothing, and up again to what the tables say."""

import asyncpg
import pytest

from shared.database.migrations import run
from shared.testing.databases import DatabaseFactory, run_apart

_LEFT = """
    SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = 'public' AND relkind IN ('r', 'p', 'S', 'v') AND relname <> 'schema_version'
    UNION ALL
    SELECT proname FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace WHERE nspname = 'public'
"""


@pytest.mark.parametrize("service", ["membership", "welfare", "events", "gateway"])
def test_down_to_nothing_and_up_again(make_database: DatabaseFactory, service: str) -> None:
    owner, package = make_database(service).owner, f"{service}_service"
    run(package, ["downgrade", "base"], url=owner)
    assert run_apart(_left(owner)) == []
    run(package, ["upgrade"], url=owner)
    run(package, ["check"], url=owner)


async def _left(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row["relname"] for row in await connection.fetch(_LEFT)]
    finally:
        await connection.close()
