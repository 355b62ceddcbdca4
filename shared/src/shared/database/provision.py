"""A service's database and its three roles, made by a superuser: owner (migrations), application, worker.

Run once per installation, before the migrations: by the local stack, by compose's first start, and by the tests.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

ROLES = ("owner", "app", "worker")
#: Serialises two provisioners on one server: `CREATE ROLE` has no IF NOT EXISTS.
LOCK = 0x756E696F


@dataclass(frozen=True)
class DatabaseUrls:
    """How each role of one service reaches one database."""

    owner: str
    app: str
    worker: str


def database_urls(
    superuser_url: str, service: str, passwords: dict[str, str], *, database: str | None = None
) -> DatabaseUrls:
    """The URLs that `provision` with the same arguments gives; asks nobody."""
    place = urlsplit(superuser_url).netloc.rpartition("@")[2]
    name = database or f"unionhall_{service}"
    urls = (f"postgresql://unionhall_{service}_{role}:{passwords[role]}@{place}/{name}" for role in ROLES)
    return DatabaseUrls(*urls)


async def provision(
    superuser_url: str,
    service: str,
    passwords: dict[str, str],
    *,
    database: str | None = None,
    template: str | None = None,
) -> DatabaseUrls:
    """Create what is missing of the roles `unionhall_<service>_{owner,app,worker}` and of the database; give the URLs.

    `passwords` has one password (letters, digits, - and _) per role of ROLES and is set anew on every call. `database`
    defaults to `unionhall_<service>`; `template` names a database to copy, which nobody may be connected to.
    """
    name = database or f"unionhall_{service}"
    connection = await asyncpg.connect(superuser_url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        for role in ROLES:
            await _role(connection, f"unionhall_{service}_{role}", passwords[role])
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            owner = f"unionhall_{service}_owner"
            await connection.execute(
                f'CREATE DATABASE "{name}" OWNER {owner} TEMPLATE "{template or "template0"}"'
            )
        await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        others = f"unionhall_{service}_app, unionhall_{service}_worker"
        await connection.execute(f'GRANT CONNECT ON DATABASE "{name}" TO {others}')
    finally:
        await connection.close()
    return database_urls(superuser_url, service, passwords, database=database)


async def _role(connection: asyncpg.Connection, role: str, password: str) -> None:
    known = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
    # A role's password is no parameter in SQL; format() quotes it on the server.
    statement = await connection.fetchval(
        "SELECT format('%s ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD %L',"
        " $1::text, $2::text, $3::text)",
        "ALTER" if known else "CREATE",
        role,
        password,
    )
    await connection.execute(statement)
