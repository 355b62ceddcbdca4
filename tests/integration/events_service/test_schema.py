"""The schema is what the tables say, and the database alone guards rows."""

import asyncpg
import pytest

from events_service.metadata import complete_metadata
from events_service.worker import MOVED_ALONG
from shared.database.migrations import run
from shared.database.paths import Path
from shared.testing.databases import DatabaseFactory
from tests.support.events import Ground


def test_the_migrations_make_what_the_tables_say(make_database: DatabaseFactory) -> None:
    run("events_service", ["check"], url=make_database("events").owner)


def test_every_table_with_a_path_follows_its_unit() -> None:
    columns = [column for table in complete_metadata().sorted_tables for column in table.columns]
    tables = {column.table.name for column in columns if column.type is Path}
    assert tables - {"directory_organisations"} == set(MOVED_ALONG)


@pytest.mark.parametrize(
    "table", ["activities", "activity_seats", "registrations", "activity_history", "registration_history"]
)
async def test_without_a_scope_there_is_no_row_and_with_one_only_its_own(ground: Ground, table: str) -> None:
    """Row-level security alone: the statements name no path."""
    root = await ground.unit()
    mine, other = await ground.unit(root), await ground.unit(root)
    activities = []
    for unit in (mine, other):
        activity, _ = await ground.activity(unit)
        [member] = await ground.members(unit)
        await ground.register(activity, member)
        activities.append(activity)
    [row] = await ground.rows("SELECT path FROM activities WHERE id = $1", activities[0])
    connection = await asyncpg.connect(ground.urls.app)
    count = f"SELECT count(*) FROM {table}"
    try:
        for setting in ("app.scope", "app.member_path", "app.member_id"):
            await connection.execute("SELECT set_config($1, '', false)", setting)
        assert await connection.fetchval(count) == 0
        for scope in ("%", "1", f"{row['path']}%", "*/"):
            await connection.execute("SELECT set_config('app.scope', $1, false)", scope)
            assert await connection.fetchval(count) == 0
        await connection.execute("SELECT set_config('app.scope', $1, false)", row["path"])
        seen = await connection.fetchval(count)
        assert 0 < seen < (await ground.rows(count))[0]["count"]
    finally:
        await connection.close()
