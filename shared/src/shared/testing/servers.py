"""The servers that tests run on: those that the environment names, or own ones that live as long as the session."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_stack import KafkaServer

POSTGRES_VARIABLE = "UNIONHALL_TEST_POSTGRES_URL"
KAFKA_VARIABLE = "UNIONHALL_TEST_KAFKA"
PREFIX = "unionhall-tests-"


@contextmanager
def running_postgres() -> Iterator[str]:
    """A superuser's URL. An own server has fsync off: it serves tests, not figures."""
    if named := os.environ.get(POSTGRES_VARIABLE):
        yield named
        return
    from local_stack import PostgresServer  # noqa: PLC0415 - shared stands without the local stack when servers are named

    with _folder() as folder:
        server = PostgresServer(folder / "postgres", durable=False)
        try:
            server.start()
            _remember(folder, server.child.pid)
            yield server.url
        finally:
            server.destroy()


@contextmanager
def running_kafka() -> Iterator[str]:
    """`host:port` of a broker."""
    if named := os.environ.get(KAFKA_VARIABLE):
        yield named
        return
    with own_kafka() as server:
        yield server.bootstrap


@contextmanager
def own_kafka() -> Iterator["KafkaServer"]:
    """A broker that nobody shares, to be killed."""
    from local_stack import KafkaServer  # noqa: PLC0415 - as above

    with _folder() as folder:
        server = KafkaServer(folder / "kafka")
        try:
            server.start()
            _remember(folder, server.children[0].pid)
            yield server
        finally:
            server.destroy()


@contextmanager
def _folder() -> Iterator[Path]:
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    # As root, PostgreSQL runs as somebody else, who has to reach its data.
    folder.chmod(0o711)
    _remember(folder, os.getpid())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remember(folder: Path, pid: int | None) -> None:
    """Note a process that belongs to this folder; the first is the test session itself."""
    from local_stack.processes import ProcessMark  # noqa: PLC0415 - as above

    mark = ProcessMark.of(pid) if pid else None
    if mark:
        with (folder / "processes").open("a", encoding="utf-8") as notes:
            notes.write(json.dumps([mark.pid, mark.started]) + "\n")


def _sweep() -> None:
    """End the servers of test sessions that were killed before they could."""
    from local_stack.processes import ProcessMark, end_all  # noqa: PLC0415 - as above

    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            lines = (folder / "processes").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        session, *servers = (ProcessMark(*json.loads(line)) for line in lines)
        if session.process() is None:
            end_all([process for server in servers if (process := server.process())], patience=0)
            shutil.rmtree(folder, ignore_errors=True)
