"""The supervisor: one background process that starts every other, restarts what dies, and stops all of it cleanly.

Run as `python -m local_stack.supervisor FOLDER SERVICE…` by `local_stack.control.up`; it tells what it does in `state.json`.
"""

import asyncio
import importlib.util
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from filelock import FileLock, Timeout

from local_stack.kafka import KafkaServer
from local_stack.layout import Layout
from local_stack.plan import (
    IDENTITY_PATH,
    KAFKA_VARIABLE,
    POSTGRES_VARIABLE,
    PREFERRED_PORTS,
    Addresses,
    base_environment,
    python_process,
    service_processes,
    service_settings,
)
from local_stack.ports import PortClaims
from local_stack.postgres import PostgresServer
from local_stack.processes import ChildProcess, LocalStackError, ProcessMark
from local_stack.state import Failure, Phase, ProcessStatus, StackStatus, Step
from shared.database.provision import provision
from shared.database.revisions import database_revision, newest_migration

log = logging.getLogger("local_stack.supervisor")

TICK = 0.2
FIRST_DELAY, LONGEST_DELAY = 0.3, 30.0
#: What the services stand on.
SERVERS = {"postgres", "kafka"}
#: Who ran this long has recovered; its next death is a first one again.
HEALTHY_AFTER = 60.0
#: A cold machine compiles and migrates for the first time.
PATIENCE = 90.0


@dataclass
class Supervised:
    """One child with the memory of its deaths."""

    child: ChildProcess
    port: int | None
    state: str = "stopped"
    restarts: int = 0
    failures: int = 0
    since: float = field(default_factory=time.time)
    retry_at: float = 0.0

    def turn(self, state: str) -> None:
        """Enter a state now."""
        self.state, self.since = state, time.time()

    def tick(self, now: float) -> bool:
        """Look once, at Unix time `now`: notice a death, start again when it is time, notice readiness. True on a change."""
        if self.state in {"starting", "running"} and not self.child.alive:
            code = self.child.process.returncode if self.child.process else None
            self.failures = 1 if now - self.since > HEALTHY_AFTER else self.failures + 1
            self.retry_at = now + self.delay()
            log.warning("%s ended with code %s; again in %.1f s", self.child.name, code, self.retry_at - now)
            self.turn("backoff")
            return True
        if self.state == "backoff" and now >= self.retry_at:
            self.child.spawn()
            self.restarts += 1
            self.turn("starting")
            return True
        if self.state == "starting" and self.child.is_ready():
            self.turn("running")
            return True
        return False

    def delay(self) -> float:
        """Seconds until the next try: doubled with every failure in a row, spread by a fifth."""
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (self.failures - 1)) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret

    def status(self) -> ProcessStatus:
        """What to tell."""
        pid = self.child.pid if self.child.alive else None
        return ProcessStatus(
            self.child.name, self.state, pid, self.port, self.restarts, self.since, str(self.child.log)
        )


class Supervisor:
    """Starts, watches and stops one local stack. `run` is the whole life."""

    def __init__(self, layout: Layout, services: tuple[str, ...]) -> None:
        self.layout = layout
        self.services = services
        self.secrets = layout.make()
        self.supervised: list[Supervised] = []
        self._ending = threading.Event()
        self._guard = threading.Lock()
        self._began = time.monotonic()
        self._wanted = _wanted_ports(layout)
        self._claims = PortClaims()
        ports = self._claims.claim(self._wanted).ports
        self._postgres_named = os.environ.get(POSTGRES_VARIABLE)
        self._kafka_named = os.environ.get(KAFKA_VARIABLE)
        self.postgres = PostgresServer(
            layout.root / "postgres",
            port=ports["postgres"],
            password=self.secrets.superuser,
            log=layout.logs / "postgres.log",
        )
        self.kafka = KafkaServer(
            layout.root / "kafka",
            ports=[(ports["kafka"], ports["kafka-controller"])],
            logs=layout.logs,
            learn=True,
        )
        self.addresses = Addresses(
            ports,
            postgres=self._postgres_named or self.postgres.url,
            kafka=self._kafka_named or self.kafka.bootstrap,
            issuer=_issuer_name(layout, ports["gateway"]),
        )
        mark = ProcessMark.of(os.getpid())
        self._status = StackStatus(
            gateway=self.addresses.gateway,
            phase="starting",
            identity=f"{self.addresses.gateway}{IDENTITY_PATH}",
            issuer=self.addresses.issuer,
            kafka=self.addresses.kafka,
            ports=ports,
            postgres=urlsplit(self.addresses.postgres).netloc.rpartition("@")[2],
            root=str(layout.root),
            supervisor=(mark.pid, mark.started) if mark else None,
        )

    def run(self) -> int:
        """Start all, watch until told to end, stop all. 0 after a clean stop, 1 when the start failed."""
        for polite in (signal.SIGTERM, signal.SIGINT):
            signal.signal(polite, lambda *_: self._ending.set())
        problem: LocalStackError | None = LocalStackError(
            "local-no-start", log=str(self.layout.supervisor_log)
        )
        try:
            self._start()
            self._tell(phase="running")
            self._watch()
            problem = None
        except LocalStackError as reason:
            log.exception("start failed")
            problem = reason
        except (OSError, subprocess.SubprocessError, asyncpg.PostgresError) as reason:
            log.exception("start failed")
            problem = LocalStackError("local-refused", reason=str(reason))
        finally:
            self._tell(phase="stopping")
            self._stop()
            self._tell(phase="failed" if problem else "stopped", problem=problem)
        return 1 if problem else 0

    def _start(self) -> None:
        self._tell()
        for name, wanted in self._wanted.items():
            if self.addresses.ports[name] != wanted:
                self._step("step-port-taken", name=name, wanted=wanted, port=self.addresses.ports[name])
        # As many threads as there are tasks: some wait for others.
        with ThreadPoolExecutor(4 + 3 * len(self.services)) as pool:
            postgres = pool.submit(self._start_postgres)
            kafka = pool.submit(self._start_kafka)
            started = [kafka, pool.submit(self._start_child, self._issuer(), "issuer")]
            if "welfare" in self.services:
                started.append(pool.submit(self._start_child, self._bank(), "bank"))
            for service in self.services:
                base = pool.submit(self._prepare_database, service, postgres)
                settings = service_settings(service, self.layout, self.secrets, self.addresses)
                http, worker = service_processes(service, self.layout, settings, self.addresses.ports)
                # Only the worker speaks to Kafka.
                started.append(pool.submit(self._start_child, http, http.name, base))
                started.append(pool.submit(self._start_child, worker, worker.name, base, kafka))
            postgres.result()
            for one in started:
                one.result()

    def _start_postgres(self) -> None:
        if self._postgres_named:
            self._step("step-postgres-named")
            return
        self._step("step-postgres-starting")
        self.postgres.prepare()
        self._start_child(self.postgres.child, "postgres")

    def _start_kafka(self) -> None:
        if self._kafka_named:
            self._step("step-kafka-named")
            self._make_topics()
            return
        self._step("step-kafka-starting")
        self.kafka.prepare()
        self._start_child(self.kafka.children[0], "kafka")
        self._make_topics()

    def _issuer(self) -> ChildProcess:
        arguments = ["-m", "local_stack.issuer", "--port", str(self.addresses.ports["issuer"])]
        arguments += ["--issuer", self.addresses.issuer, "--public-url", self._status.identity]
        arguments += ["--folder", str(self.layout.root / "issuer")]
        environment = base_environment(self.layout)
        return python_process(
            "issuer",
            arguments,
            self.layout.logs,
            environment,
            self.addresses.ports["issuer"],
            f"{IDENTITY_PATH}/health",
        )

    def _bank(self) -> ChildProcess:
        port = self.addresses.ports["bank"]
        arguments = [
            "-m",
            "local_stack.bank",
            "--port",
            str(port),
            "--folder",
            str(self.layout.root / "bank"),
        ]
        environment = base_environment(self.layout)
        return python_process("bank", arguments, self.layout.logs, environment, port, "/health")

    def _start_child(self, child: ChildProcess, port: str, *needed: Future[None]) -> None:
        """Once what is needed is done: start, put under watch, and wait until it is ready. Raises LocalStackError."""
        for one in needed:
            one.result()
        supervised = Supervised(child, self.addresses.ports.get(port), state="starting")
        child.spawn()
        with self._guard:
            self.supervised.append(supervised)
        self._tell()
        child.wait_ready(PATIENCE, self._ending)
        supervised.turn("running")
        self._step("step-ready", name=child.name)

    def _prepare_database(self, service: str, postgres: Future[None]) -> None:
        postgres.result()
        urls = asyncio.run(provision(self.addresses.postgres, service, self.secrets.roles))
        package = f"{service}_service"
        if importlib.util.find_spec(package) is None:
            raise LocalStackError("local-no-service", name=service)
        if asyncio.run(database_revision(urls.owner)) != newest_migration(package):
            settings = service_settings(service, self.layout, self.secrets, self.addresses)
            self._program(f"{package}.migrate", settings, f"{service}-migrate")
        self._step("step-migrated", name=service)

    def _make_topics(self) -> None:
        if not self.services:
            return
        self._program(
            "shared.messaging.topics", {"UNIONHALL_KAFKA_BOOTSTRAP": self.addresses.kafka}, "topics"
        )
        self._step("step-topics")

    def _program(self, module: str, settings: dict[str, str], name: str) -> None:
        """Run a program to its end; its output is kept in its log and shown when it fails."""
        file = self.layout.logs / f"{name}.log"
        with file.open("wb") as output:
            done = subprocess.run(
                [sys.executable, "-m", module],
                env=base_environment(self.layout) | settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
                check=False,
            )
        if done.returncode:
            said = file.read_text()[-2000:]
            raise LocalStackError(
                "local-ended", name=module, code=done.returncode, log=str(file), output=said
            )

    def _watch(self) -> None:
        while not self._ending.wait(TICK):
            changes = [supervised.tick(time.time()) for supervised in self.supervised]
            if any(changes):
                self._tell()

    def _stop(self) -> None:
        """Services first, so that they can finish; then the servers under them."""
        with ThreadPoolExecutor(8) as pool:
            for servers in (False, True):
                part = [one for one in self.supervised if (one.child.name in SERVERS) is servers]
                list(pool.map(self._end, part))
                for one in part:
                    one.turn("stopped")
                self._tell()

    def _end(self, one: Supervised) -> None:
        if one.child in self.kafka.children:
            self.kafka.stop()
        else:
            one.child.stop(grace=20)

    def _step(self, code: str, **params: str | int) -> None:
        seconds = round(time.monotonic() - self._began, 2)
        log.info("%6.2f s %s %s", seconds, code, params)
        with self._guard:
            self._status = replace(self._status, steps=(*self._status.steps, Step(code, params, seconds)))
        self._tell()

    def _tell(self, phase: Phase | None = None, problem: LocalStackError | None = None) -> None:
        with self._guard:
            self._status = replace(
                self._status,
                phase=phase or self._status.phase,
                error=Failure(problem.code, problem.params) if problem else self._status.error,
                processes=tuple(one.status() for one in self.supervised),
            )
            self._status.write(self.layout.state)


def _wanted_ports(layout: Layout) -> dict[str, int]:
    """The usual ports; the gateway's is the one in the issuer's name, so that name and address agree where they can."""
    file = layout.root / "issuer" / "name"
    if not file.exists():
        return PREFERRED_PORTS
    named = urlsplit(file.read_text(encoding="utf-8").strip()).port
    return PREFERRED_PORTS | ({"gateway": named} if named else {})


def _issuer_name(layout: Layout, gateway_port: int) -> str:
    """The name in the tokens: the gateway's address of the first start.

    Posts belong to (issuer, subject), so the name must stay when another program takes the gateway's port one day.
    """
    file = layout.root / "issuer" / "name"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"http://127.0.0.1:{gateway_port}{IDENTITY_PATH}\n", encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


def main() -> int:
    """The program. A second supervisor of the same folder ends at once."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    layout = Layout(Path(sys.argv[1]))
    services = tuple(sys.argv[2:])
    # The folder from which `up` was called may be deleted one day.
    os.chdir(layout.root)
    try:
        with FileLock(layout.root / "supervisor.lock", timeout=0):
            return Supervisor(layout, services).run()
    except Timeout:
        log.warning("another supervisor already serves %s", layout.root)
        return 2


if __name__ == "__main__":
    sys.exit(main())
