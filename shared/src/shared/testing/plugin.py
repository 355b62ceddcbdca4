"""Fixtures that every test may ask for; loaded by `-p shared.testing.plugin` in pyproject.toml.

`postgres_url`, `kafka_bootstrap` real servers, one of each per session; `make_database("membership")` fresh URLs;
`clock` stands still; `eventually` waits with a deadline; `unique` a short random name; `crash_points` how to arm one.
"""

import importlib.util
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_asyncio import is_async_test
from pytest_socket import disable_socket, enable_socket

from shared.kernel import crash
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from shared.testing.servers import running_kafka, running_postgres
from shared.testing.waiting import Eventually
from shared.testing.waiting import eventually as wait_until

UNIT = Path("tests") / "unit"


class CrashPoints:
    """How a test lets a child process die at a named place."""

    names = tuple(crash.CRASH_POINTS)
    exit_code = crash.EXIT_CODE

    def environment(self, name: str, hit: int = 1) -> dict[str, str]:
        """The variables of a child that shall die at the `hit`-th passing of this point."""
        if name not in crash.CRASH_POINTS:
            raise KeyError(name)
        return {**os.environ, crash.VARIABLE: f"{name}:{hit}"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests have loops of their own: on that of the session, applications of other tests go on, and need sockets."""
    for item in items:
        if str(UNIT) in str(item.path) and is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="function"), append=False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """No sockets in unit tests (the loop's own pair is not one in this sense)."""
    if str(UNIT) in str(item.path):
        disable_socket(allow_unix_socket=True)


def pytest_runtest_teardown() -> None:
    """Sockets again for what follows."""
    enable_socket()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A superuser's URL of a PostgreSQL 18 server of this session, or of the one that UNIONHALL_TEST_POSTGRES_URL names."""
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """A Kafka broker with all declared topics, of this session or the one that UNIONHALL_TEST_KAFKA names.

    Topics have fixed names and the broker may be shared: use keys and consumer names of your own (`unique`).
    """
    with running_kafka() as bootstrap:
        if importlib.util.find_spec("shared.messaging.topics"):
            environment = os.environ | {"UNIONHALL_KAFKA_BOOTSTRAP": bootstrap}
            command = [sys.executable, "-m", "shared.messaging.topics"]
            subprocess.run(command, env=environment, check=True, timeout=120)
        yield bootstrap


@pytest.fixture(scope="session")
def make_database(postgres_url: str) -> Iterator[DatabaseFactory]:
    """`make_database("membership")`: URLs of owner, app and worker of a fresh, migrated database."""
    factory = DatabaseFactory(postgres_url, f"t{secrets.token_hex(4)}")
    try:
        yield factory
    finally:
        factory.drop_all()


@pytest.fixture
def clock() -> StoppedClock:
    """A clock that stands still until it is moved."""
    return StoppedClock()


@pytest.fixture
def unique() -> str:
    """A short random name, for what must not meet another test."""
    return secrets.token_hex(4)


@pytest.fixture
def eventually() -> Eventually:
    """Wait until something becomes true, with a deadline."""
    return wait_until


@pytest.fixture
def crash_points() -> CrashPoints:
    """The crash points and how to arm one in a child."""
    return CrashPoints()
