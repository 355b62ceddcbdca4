"""The schema is what the tables say, and every path follows its unit."""

from shared.database.migrations import run
from shared.database.paths import Path
from shared.testing.databases import DatabaseFactory
from welfare_service.metadata import complete_metadata
from welfare_service.worker import MOVED_ALONG


def test_the_migrations_make_what_the_tables_say(make_database: DatabaseFactory) -> None:
    run("welfare_service", ["check"], url=make_database("welfare").owner)


def test_every_table_with_a_place_follows_its_unit() -> None:
    """One that is forgotten would stay behind when the unit moves."""
    placed = {
        table.name
        for table in complete_metadata().sorted_tables
        if any(column.name == "path" and column.type is Path for column in table.columns)
        and not table.name.startswith(("directory_", "audit_"))
    }
    assert placed == set(MOVED_ALONG)
