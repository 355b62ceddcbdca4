"""Fresh databases for tests: migrated once per session into a template, copied from it for everyone who asks."""

import asyncio
import importlib.util
import os
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, TypeVar

import asyncpg

from shared.database.provision import ROLES, DatabaseUrls, provision

Result = TypeVar("Result")
#: Made-up, for scratch servers on loopback.
PASSWORDS = dict.fromkeys(ROLES, "unionhall-test")


class DatabaseFactory:
    """Makes databases named `<prefix>_<service>_<n>` and drops them all at the end. Callable from sync and async tests."""

    def __init__(self, superuser_url: str, prefix: str) -> None:
        self._url = superuser_url
        self._prefix = prefix
        self._numbers = count(1)
        self._templates: dict[str, str] = {}
        self._made: list[str] = []

    def __call__(self, service: str, *, migrated: bool = True) -> DatabaseUrls:
        """A fresh database for `service` ("membership"); `migrated=False` leaves it empty."""
        template = self._template(service) if migrated else None
        return self._create(service, f"{self._prefix}_{service}_{next(self._numbers)}", template)

    def drop_all(self) -> None:
        """Drop every database that was made here."""
        run_apart(self._drop_all())

    def _template(self, service: str) -> str | None:
        if not _has_migrations(service):
            return None
        if service not in self._templates:
            name = f"{self._prefix}_{service}_template"
            urls = self._create(service, name, None)
            migrate(service, urls)
            self._templates[service] = name
        return self._templates[service]

    def _create(self, service: str, name: str, template: str | None) -> DatabaseUrls:
        self._made.append(name)
        return run_apart(provision(self._url, service, PASSWORDS, database=name, template=template))

    async def _drop_all(self) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            for name in self._made:
                await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()


def migrate(service: str, urls: DatabaseUrls) -> None:
    """Bring a database to the newest version, as an installation does: by the service's own program."""
    environment = os.environ | {"UNIONHALL_OWNER_DATABASE_URL": urls.owner}
    done = subprocess.run(
        [sys.executable, "-m", f"{service}_service.migrate"],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"migrations of {service} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def run_apart(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in a loop of its own, whether or not the caller is inside a loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _has_migrations(service: str) -> bool:
    if importlib.util.find_spec(f"{service}_service") is None:
        return False
    return importlib.util.find_spec(f"{service}_service.migrate") is not None
