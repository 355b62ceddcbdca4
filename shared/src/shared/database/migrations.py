"""Migrations of a service's database, with Alembic: how they are run, and what the first of them makes.

Run as `python -m <service>_service.migrate`, with the owner's URL. Each migration is a transaction of its own; a statement that
waits longer than LOCK_TIMEOUT for a lock gives up, so that a migration never queues in front of everybody's writes.
"""

import asyncio
import importlib
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import asyncpg
from alembic import command, context
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.database.metadata import service_metadata
from shared.database.reach import require_database
from shared.database.revisions import VERSION_TABLE, migrations_folder
from shared.database.shared_tables import GRANTS, OUTBOX_SLOTS, inbox_quarters, shared_tables
from shared.security.audit import audit_policies
from shared.settings import MIGRATION_NEEDS, ServiceSettings, load

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"
#: Two migrators of one database take turns.
_TURN = 0x6D696772


def run(service_package: str, argv: Sequence[str] = (), *, url: str | None = None) -> None:
    """Do what `argv` says: nothing or "upgrade [revision]", "downgrade revision", "check", "current".

    `service_package` ("membership_service") has a module `metadata` with `complete_metadata()`, or with `metadata` if that is
    complete; its migrations lie in `migrations/` beside `src/` or inside the package. `url` defaults to the owner's URL in
    the settings. Ends the process with a message if that is missing, if nobody lets it in there, or if it cannot be done.
    """
    owner_url = url or _owner_url()
    package = importlib.import_module(service_package)
    config = Config()
    config.set_main_option("script_location", str(migrations_folder(package)))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = owner_url
    module = importlib.import_module(f"{service_package}.metadata")
    config.attributes["metadata"] = (
        module.complete_metadata() if hasattr(module, "complete_metadata") else module.metadata
    )
    try:
        _obey(config, argv)
    except CommandError as refusal:
        # The database is newer than this program, or no revision is called so.
        sys.exit(f"migrate: {refusal}")


def _obey(config: Config, argv: Sequence[str]) -> None:
    match list(argv):
        case [] | ["upgrade"]:
            command.upgrade(config, "head")
        case ["upgrade", revision]:
            command.upgrade(config, revision)
        case ["downgrade", revision]:
            command.downgrade(config, revision)
        case ["check"]:
            command.check(config)
        case ["current"]:
            command.current(config, verbose=True)
        case _:
            raise SystemExit("usage: migrate [upgrade [revision] | downgrade revision | check | current]")


def _owner_url() -> str:
    url = load(ServiceSettings, *MIGRATION_NEEDS).owner_database_url
    asyncio.run(require_database(url, *MIGRATION_NEEDS))
    return url


def run_environment() -> None:
    """All that a service's `migrations/env.py` does."""
    asyncio.run(_migrate(context.config))


async def _migrate(config: Config) -> None:
    connect = partial(asyncpg.connect, config.attributes["url"], timeout=10)
    engine = create_async_engine("postgresql+asyncpg://", poolclass=NullPool, async_creator=connect)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate_within, config.attributes["metadata"])
            await connection.commit()
    finally:
        await engine.dispose()


def _migrate_within(connection: Connection, metadata: MetaData) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:turn)"), {"turn": _TURN})
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
    # Partitions belong to their parent; comparing them would call them unknown tables.
    partitions = set(connection.execute(text("SELECT relname FROM pg_class WHERE relispartition")).scalars())
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        transaction_per_migration=True,
        compare_type=True,
        include_name=lambda name, kind, _: kind != "table" or name not in partitions,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text("SELECT pg_advisory_unlock(:turn)"), {"turn": _TURN})


def create_shared_tables(op: Any, service: str) -> None:
    """Make the shared tables with their partitions and privileges; called by a service's first migration."""
    bind = op.get_bind()
    metadata = service_metadata()
    # A service's own metadata may hold more by now: this makes the shared ones only.
    names = [table.name for table in shared_tables(MetaData())]
    metadata.create_all(bind, tables=[metadata.tables[name] for name in names])
    for statement in [*partitions_ddl(service), *privileges_ddl(service), *audit_policies(service)]:
        op.execute(statement)
    # Nothing is visible in this snapshot: the relay's first pass sends whatever it finds.
    op.execute("INSERT INTO relay_progress (previous) VALUES ('1:1:')")


def drop_shared_tables(op: Any) -> None:
    """The way back."""
    for table in reversed(shared_tables(MetaData())):
        op.drop_table(table.name)


def grant(op: Any, service: str, table: str, *, app: str, worker: str) -> None:
    """Give the two roles their privileges on a table, e.g. app="SELECT, INSERT", worker="SELECT"."""
    op.execute(f"GRANT {app} ON {table} TO unionhall_{service}_app")
    op.execute(f"GRANT {worker} ON {table} TO unionhall_{service}_worker")


def privileges_ddl(service: str) -> list[str]:
    """Statements that give application and worker what GRANTS says, and nobody else anything."""
    statements = [
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO unionhall_{service}_app, unionhall_{service}_worker",
        # So that readiness can tell whether the database is migrated.
        f"GRANT SELECT ON {VERSION_TABLE} TO unionhall_{service}_app, unionhall_{service}_worker",
    ]
    for table, roles in GRANTS.items():
        statements += [
            f"GRANT {', '.join(privileges)} ON {table} TO unionhall_{service}_{role}"
            for role, privileges in roles.items()
        ]
    return statements


def partitions_ddl(service: str) -> list[str]:
    """Slots of the outbox, quarters of the inbox; the worker may truncate each."""
    statements = []
    partitions = []
    for slot in range(OUTBOX_SLOTS):
        partitions.append(f"outbox_{slot}")
        statements.append(f"CREATE TABLE outbox_{slot} PARTITION OF outbox FOR VALUES IN ({slot})")
        # Only ever appended to and truncated: there is nothing for autovacuum but freezing.
        statements.append(f"ALTER TABLE outbox_{slot} SET (autovacuum_enabled = off)")
    for name, first, end in inbox_quarters():
        partitions.append(name)
        statements.append(f"CREATE TABLE {name} PARTITION OF inbox FOR VALUES FROM ('{first}') TO ('{end}')")
    statements.append("CREATE TABLE inbox_other PARTITION OF inbox DEFAULT")
    statements += [f"GRANT TRUNCATE ON {name} TO unionhall_{service}_worker" for name in partitions]
    # Locking a slot and looking into it before it is truncated.
    statements += [f"GRANT SELECT ON {name} TO unionhall_{service}_worker" for name in partitions]
    return statements
