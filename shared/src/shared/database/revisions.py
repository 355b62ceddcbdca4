"""Which migration a database stands at, and which one a program brings; asked at every start, so without loading Alembic."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Final

import asyncpg

#: The one row of this table names the migration that was run last.
VERSION_TABLE: Final = "schema_version"


def migrations_folder(package: ModuleType) -> Path:
    """Where the migrations of a service lie: inside an installed package, or beside `src/` in the source tree."""
    inside = Path(str(package.__file__)).parent / "migrations"
    return inside if inside.is_dir() else inside.parents[2] / "migrations"


def newest_migration(service_package: str) -> str:
    """The revision that this program's database has to have.

    The file of a revision carries its name and a number that grows (`0004_rosters.py`); a test asks Alembic the same.
    """
    folder = migrations_folder(importlib.import_module(service_package))
    return max(path.stem for path in (folder / "versions").glob("[0-9]*.py"))


async def database_revision(url: str) -> str | None:
    """The revision of the database at `url`, None before the first. Raises OSError and asyncpg.PostgresError."""
    connection = await asyncpg.connect(url)
    try:
        found: str | None = await connection.fetchval(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await connection.close()
    return found
