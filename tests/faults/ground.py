"""The ground that the runs stand on: one PostgreSQL, one Kafka of their own, and processes that may die."""

import asyncio
import os
import secrets
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from local_stack import KafkaServer
from shared.kernel.crash import EXIT_CODE, VARIABLE
from shared.testing.databases import DatabaseFactory
from shared.testing.servers import own_kafka, running_postgres
from shared.testing.waiting import eventually

#: Seconds for a process to reach the point where it is to die (the machine may be busy), and to end when asked to.
DEATH = 120
GRACE = 25


@dataclass
class Program:
    """A process of the product or of a scratch service, started anew as often as it dies."""

    ground: "Ground"
    module: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    process: Process | None = None
    _served: int = 0

    async def start(self, *, crash: str = "", bug: str | None = None) -> None:
        """Start it, to die at `crash` ("relay.after_send:2"), with a seeded bug."""
        self._served = self.log.read_bytes().count(b"Uvicorn running") if self.log.exists() else 0
        run = ["-m", self.module] if bug is None else ["-m", "tests.faults.variants", bug, self.module]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *run,
                *self.arguments,
                env=os.environ | self.environment | {VARIABLE: crash},
                stdout=log,
                stderr=log,
            )
        self.ground.running.append(self)

    async def is_up(self) -> None:
        """Wait until it serves: starting an interpreter on a busy machine says nothing about the product."""
        before = self._served
        await eventually(lambda: self.log.read_bytes().count(b"Uvicorn running") > before, DEATH, every=0.1)

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.returncode is None

    async def dies(self) -> None:
        """Wait for the crash point."""
        assert self.process
        async with asyncio.timeout(DEATH):
            code = await self.process.wait()
        assert code == EXIT_CODE, f"{self.module} ended with {code}, see {self.log}:\n{self.tail()}"

    async def ends(self) -> float:
        """SIGTERM; the seconds that it took to end. Raises TimeoutError after the grace."""
        assert self.process
        began = asyncio.get_running_loop().time()
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(GRACE):
            await self.process.wait()
        return asyncio.get_running_loop().time() - began

    async def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self.process and self.is_running:
            self.process.kill()
            await self.process.wait()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]


@dataclass
class Ground:
    """Servers, fresh databases, a folder for logs."""

    kafka: str
    databases: DatabaseFactory
    folder: Path
    #: The superuser's URL, for what nobody else may do.
    superuser: str = ""
    #: The broker behind `kafka`, when it may be killed.
    broker: KafkaServer | None = None
    running: list[Program] = field(default_factory=list)

    async def end(self) -> None:
        """Kill what still runs."""
        for program in self.running:
            await program.kill()

    def program(self, module: str, *arguments: str, environment: Mapping[str, str]) -> Program:
        """A process to be started."""
        log = self.folder / f"{module}-{secrets.token_hex(4)}.log"
        return Program(self, module, arguments, environment, log)


@contextmanager
def servers() -> Iterator[tuple[str, KafkaServer]]:
    """A superuser's URL (of a server that the environment may name) and a broker that may be killed."""
    with running_postgres() as postgres, own_kafka() as broker:
        yield postgres, broker


@asynccontextmanager
async def standing_ground(postgres: str, broker: KafkaServer) -> AsyncIterator[Ground]:
    """The ground; whatever still runs at the end is killed, databases are dropped."""
    factory = DatabaseFactory(postgres, f"f{secrets.token_hex(4)}")
    with TemporaryDirectory(prefix="unionhall-faults-", ignore_cleanup_errors=True) as folder:
        ground = Ground(broker.bootstrap, factory, Path(folder), postgres, broker)
        try:
            yield ground
        finally:
            await ground.end()
            await asyncio.to_thread(factory.drop_all)
