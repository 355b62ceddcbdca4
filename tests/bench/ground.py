"""What benches stand on: a durable PostgreSQL and a Kafka with a heap of 1 GB of the local stack, services as real processes."""

import asyncio
import logging
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import asyncpg
import orjson

from local_stack import KafkaServer, PostgresServer
from local_stack.plan import python_process
from local_stack.processes import LOOPBACK, ChildProcess, free_port
from shared.contracts.envelope import Topic
from shared.database.provision import DatabaseUrls
from shared.kernel import collector
from shared.messaging.topics import declared_topics, ensure_topics, progress_topic
from shared.security.keys import new_ring_json
from shared.testing.databases import DatabaseFactory, run_apart
from tests.support.scratch import SERVICE as SCRATCH
from tests.support.scratch import prepare
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

HEAP_MB = 1024
# Clients retry what a young broker refuses, and say so at length.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
#: Seconds until a started process has to be ready.
START = 60.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. `quick` proves that a bench works; its figures mean nothing."""

    quick: bool
    rounds: int

    def of(self, full: int, quick: int) -> int:
        """`full`, or `quick` when only the bench itself is tried."""
        return quick if self.quick else full


@dataclass
class Ground:
    """Servers, databases and keys of one bench."""

    postgres: PostgresServer
    kafka: str
    folder: Path
    databases: DatabaseFactory
    issuer: Issuer
    jwks_url: str
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def postgres_url(self) -> str:
        """The superuser's URL of the database `postgres`."""
        return self.postgres.url

    @property
    def keys_file(self) -> Path:
        """The key ring of every process here."""
        path = self.folder / "keys.json"
        if not path.exists():
            path.write_bytes(new_ring_json())
            path.chmod(0o600)
        return path

    async def scratch(self, *tables: str) -> DatabaseUrls:
        """A database with the shared tables and `tables` only; the worker may do all with the latter."""
        urls = self.databases(SCRATCH, migrated=False)
        granted = f"GRANT ALL ON ALL TABLES IN SCHEMA public TO unionhall_{SCRATCH}_worker"
        await asyncio.to_thread(prepare, urls, *tables, granted)
        return urls

    async def topic(self) -> Topic:
        """A topic of 32 partitions that nobody else uses, with its progress topic."""
        service = f"scratch{secrets.token_hex(4)}"
        topic = Topic(f"unionhall.{service}.things.v1")
        await ensure_topics(self.kafka, [topic, progress_topic(service)])
        # A broker takes a moment until it leads new partitions.
        await asyncio.sleep(2)
        return topic

    def environment(self, service: str, urls: DatabaseUrls, **more: str) -> dict[str, str]:
        """All settings of one service."""
        ports = {f"UNIONHALL_{name}_PORT": str(free_port()) for name in ("HTTP", "WORKER")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("UNIONHALL_")}
        settings = {
            "UNIONHALL_DATABASE_URL": urls.app,
            "UNIONHALL_WORKER_DATABASE_URL": urls.worker,
            "UNIONHALL_KAFKA_BOOTSTRAP": self.kafka,
            "UNIONHALL_OIDC_ISSUER": ISSUER,
            "UNIONHALL_OIDC_AUDIENCE": AUDIENCE,
            "UNIONHALL_OIDC_JWKS_URL": self.jwks_url,
            "UNIONHALL_KEYS_FILE": str(self.keys_file),
            "UNIONHALL_LOG_LEVEL": "WARNING",
            "UNIONHALL_RATE_LIMIT_PER_MINUTE": "0",
        }
        if service == "gateway":
            others = ("MEMBERSHIP", "WELFARE", "EVENTS", "IDENTITY")
            settings |= {f"UNIONHALL_{name}_URL": f"http://{LOOPBACK}:9" for name in others}
        return kept | ports | settings | more

    def http(self, module: str, environment: dict[str, str]) -> ChildProcess:
        """Start a program that serves HTTP, e.g. "membership_service.app"; returns when it is ready."""
        return self._start(module, [], environment, int(environment["UNIONHALL_HTTP_PORT"]))

    def worker(self, service: str, environment: dict[str, str], run: str) -> ChildProcess:
        """Start the worker of a service with the parts of `run` ("relay,jobs")."""
        port = int(environment["UNIONHALL_WORKER_PORT"])
        return self._start(f"{service}_service.worker", ["--run", run], environment, port)

    def _start(
        self, module: str, arguments: list[str], environment: dict[str, str], port: int
    ) -> ChildProcess:
        child = python_process(module, ["-m", module, *arguments], self.folder, environment, port)
        child.spawn()
        self.stack.callback(child.stop)
        child.wait_ready(START)
        return child


def address(environment: dict[str, str]) -> str:
    """Where the HTTP process of an environment listens."""
    return f"http://{LOOPBACK}:{environment['UNIONHALL_HTTP_PORT']}"


@contextmanager
def ground() -> Iterator[Ground]:
    """Fresh servers; all that was started is stopped and deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="unionhall-bench-"))
    # As root, PostgreSQL runs as somebody else, who has to reach its data.
    folder.chmod(0o711)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = PostgresServer(folder / "postgres")
        stack.callback(postgres.destroy)
        postgres.start()
        kafka = stack.enter_context(KafkaServer(folder / "kafka", heap=HEAP_MB))
        run_apart(ensure_topics(kafka.bootstrap, declared_topics()))
        issuer = Issuer()
        yield Ground(
            postgres=postgres,
            kafka=kafka.bootstrap,
            folder=folder,
            databases=DatabaseFactory(postgres.url, f"b{secrets.token_hex(4)}"),
            issuer=issuer,
            jwks_url=stack.enter_context(_published(issuer)),
            stack=stack.enter_context(ExitStack()),
        )


@contextmanager
def _published(issuer: Issuer) -> Iterator[str]:
    """The issuer's keys over HTTP."""
    document = orjson.dumps(issuer.jwks())

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}/jwks"
    finally:
        server.shutdown()


async def calm(url: str) -> None:
    """Before a measure: what is left from before is written out, and the collector is set as in every process of the product."""
    connection = await asyncpg.connect(url)
    await connection.execute("CHECKPOINT")
    await connection.close()
    collector.settle()
