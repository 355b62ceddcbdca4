"""The schema is what the tables say, and what is read often is read by index ranges, as the application role."""

from shared.database.migrations import run
from shared.testing.databases import DatabaseFactory


def test_the_migrations_make_what_the_tables_say(make_database: DatabaseFactory) -> None:
    run("gateway_service", ["check"], url=make_database("gateway").owner)


def test_the_newest_migration_can_be_taken_back(make_database: DatabaseFactory) -> None:
    url = make_database("gateway").owner
    run("gateway_service", ["downgrade", "0002_views"], url=url)
    run("gateway_service", ["upgrade", "head"], url=url)
    run("gateway_service", ["check"], url=url)
