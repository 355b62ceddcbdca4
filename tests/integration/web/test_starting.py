"""What a process says, and with what it ends, when it cannot start: at once, with the setting's name, never half-started."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from local_stack import PostgresServer
from local_stack.plan import SERVICES
from membership_service.bootstrap import ALREADY
from shared.composition.schema import SchemaWatch
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls, provision
from shared.security.keys import new_ring_json
from shared.settings import HTTP_NEEDS, WORKER_NEEDS
from shared.testing import Eventually
from shared.testing.databases import PASSWORDS, DatabaseFactory, run_apart
from tests.support.scratch import SERVICE, prepare

PROGRAMS = tuple(f"{service}_service.{program}" for service in SERVICES for program in ("app", "worker"))
#: Addresses that nobody answers: what is wrong is found before anybody is asked.
ELSEWHERE = {
    "UNIONHALL_DATABASE_URL": "postgresql://nobody:none@127.0.0.1:9/none",
    "UNIONHALL_WORKER_DATABASE_URL": "postgresql://nobody:none@127.0.0.1:9/none",
    "UNIONHALL_KAFKA_BOOTSTRAP": "127.0.0.1:9",
    "UNIONHALL_OIDC_ISSUER": "https://identity.test",
    "UNIONHALL_OIDC_AUDIENCE": "unionhall",
    "UNIONHALL_OIDC_JWKS_URL": "http://127.0.0.1:9/jwks",
    "UNIONHALL_MEMBERSHIP_URL": "http://127.0.0.1:9",
    "UNIONHALL_WELFARE_URL": "http://127.0.0.1:9",
    "UNIONHALL_EVENTS_URL": "http://127.0.0.1:9",
    "UNIONHALL_IDENTITY_URL": "http://127.0.0.1:9/identity",
}


#: Programs that an operator runs, the setting that says where, and what must be said besides.
OF_OPERATORS = {
    "membership_service.migrate": ("UNIONHALL_OWNER_DATABASE_URL", ()),
    "membership_service.bootstrap": (
        "UNIONHALL_WORKER_DATABASE_URL",
        ("--issuer", "https://identity.test", "--subject", "first", "--organisation-name", "示例省总工会"),
    ),
}


def ended(program: str, settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The process, which ends by itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UNIONHALL_")}
    return subprocess.run(
        [sys.executable, "-m", program, *arguments],
        env={**kept, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_bytes(new_ring_json())
    path.chmod(0o600)
    return path


def test_without_settings_every_program_names_all_that_it_needs() -> None:
    with ThreadPoolExecutor(2) as pool:
        for program, done in zip(PROGRAMS, pool.map(lambda one: ended(one, {}), PROGRAMS), strict=True):
            needs = WORKER_NEEDS if program.endswith("worker") else HTTP_NEEDS
            assert done.returncode == 1, program
            for name in needs:
                assert f"UNIONHALL_{name.upper()} is not set" in done.stderr, program
            assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", PROGRAMS[:2])
@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (None, 0, "cannot be read (No such file or directory)"),
        (b"{", 0o600, "is not JSON"),
        (b"{}", 0o600, "no keys for"),
        (new_ring_json(), 0o604, "may be read by others"),
    ],
)
def test_a_key_ring_that_cannot_be_used_is_named(
    program: str, content: bytes | None, mode: int, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "ring.json"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    done = ended(program, ELSEWHERE | {"UNIONHALL_KEYS_FILE": str(path)})
    assert done.returncode == 1
    assert done.stderr.startswith(f"UNIONHALL_KEYS_FILE ({path}): ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("program", "variable"),
    [
        ("membership_service.app", "UNIONHALL_HTTP_PORT"),
        ("membership_service.worker", "UNIONHALL_WORKER_PORT"),
    ],
)
def test_a_port_that_is_taken_is_named(program: str, variable: str, ring: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = ended(program, ELSEWHERE | {"UNIONHALL_KEYS_FILE": str(ring), variable: port})
    assert done.returncode == 1
    expected = f"{variable}: cannot listen on 127.0.0.1, port {port} (Address already in use)\n"
    assert done.stderr == expected


@pytest.mark.parametrize(
    ("program", "variable", "value"),
    [
        ("membership_service.app", "UNIONHALL_DATABASE_URL", "postgresql://app:secret-word@host:abc/x"),
        ("membership_service.worker", "UNIONHALL_KAFKA_BOOTSTRAP", "kafka:abc"),
        (
            "membership_service.migrate",
            "UNIONHALL_OWNER_DATABASE_URL",
            "postgresql://o:secret-word@host:abc/x",
        ),
        ("shared.messaging.topics", "UNIONHALL_KAFKA_BOOTSTRAP", "kafka:abc"),
        ("shared.messaging.topics", "UNIONHALL_KAFKA_REPLICATION", "three"),
    ],
)
def test_a_malformed_setting_is_named_and_told_what_is_expected(
    program: str, variable: str, value: str, ring: Path
) -> None:
    done = ended(program, ELSEWHERE | {"UNIONHALL_KEYS_FILE": str(ring), variable: value})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith((f"{variable}: expected ", f"{variable}: Input should be "))
    assert "secret-word" not in line


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseUrls]:
    """An empty database on a server that asks for passwords; the one of the other tests trusts everybody."""
    server = PostgresServer(tmp_path_factory.mktemp("guarded"), password="of-the-superuser", durable=False)
    try:
        server.start(60)
        yield run_apart(provision(server.url, "membership", PASSWORDS))
    finally:
        server.destroy()


@pytest.mark.parametrize("program", OF_OPERATORS)
def test_a_database_that_lets_nobody_in_is_told_by_the_name_of_the_setting(
    program: str, guarded: DatabaseUrls
) -> None:
    variable, arguments = OF_OPERATORS[program]
    good = guarded.owner if program.endswith("migrate") else guarded.worker
    place = urlsplit(good)
    wrong = {
        good.replace(f":{place.password}@", ":secret-word@"): "password authentication failed",
        place._replace(path="/no_such_database").geturl(): 'database "no_such_database" does not exist',
        good.replace(f":{place.port}/", ":9/"): "Connect call failed",
    }
    assert len({good, *wrong}) == 4
    for url, told in wrong.items():
        done = ended(program, {variable: url}, *arguments)
        assert done.returncode == 1, told
        assert done.stderr.startswith(f"{variable}: the database cannot be used ("), done.stderr
        assert told in done.stderr
        assert "Traceback" not in done.stderr
        assert "secret-word" not in done.stderr


def test_who_is_let_in_does_the_work(guarded: DatabaseUrls) -> None:
    for program, code, told in (
        ("membership_service.bootstrap", 1, "the database has no schema yet: run migrate first\n"),
        ("membership_service.migrate", 0, ""),
        ("membership_service.bootstrap", 0, ""),
        ("membership_service.bootstrap", ALREADY, "administrator already"),
    ):
        variable, arguments = OF_OPERATORS[program]
        url = (guarded.owner if program.endswith("migrate") else guarded.worker) + "?sslmode=prefer"
        done = ended(program, {variable: url}, *arguments)
        assert done.returncode == code, done.stderr
        assert told in done.stderr
        assert "Traceback" not in done.stderr
    run_apart(take_for(guarded.owner, "9999_later"))
    done = ended("membership_service.migrate", {"UNIONHALL_OWNER_DATABASE_URL": guarded.owner})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("migrate: ")
    assert "9999_later" in done.stderr
    assert "Traceback" not in done.stderr


async def take_for(owner_url: str, revision: str) -> None:
    """As a newer version leaves the database behind."""
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("UPDATE schema_version SET version_num = $1", revision)
    finally:
        await owner.close()


@pytest.fixture
def urls(make_database: DatabaseFactory) -> DatabaseUrls:
    urls = make_database(SERVICE, migrated=False)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(prepare, urls).result()
    return urls


@asynccontextmanager
async def watched(url: str, head: str) -> AsyncIterator[SchemaWatch]:
    database = Database(url, pool_size=1, application_name="test-schema")
    watch = SchemaWatch(database, head)
    running = asyncio.create_task(watch.run(asyncio.Event()))
    try:
        yield watch
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await database.close()


async def test_a_worker_is_not_ready_before_its_database_is_migrated(
    urls: DatabaseUrls, eventually: Eventually
) -> None:
    owner = Database(urls.owner, pool_size=1, application_name="test-owner")
    async with watched(urls.worker, "0002_next") as watch:
        await eventually(lambda: [one.code for one in watch.reasons()] == ["database-not-migrated"])
        async with owner.driver() as connection:
            await connection.execute("INSERT INTO schema_version VALUES ('0002_next')")
        await eventually(lambda: not watch.reasons())
    async with owner.driver() as connection:
        await connection.execute("UPDATE schema_version SET version_num = '0003_later'")
    async with watched(urls.worker, "0002_next") as watch:
        await eventually(lambda: [one.code for one in watch.reasons()] == ["database-newer"])
    await owner.close()
