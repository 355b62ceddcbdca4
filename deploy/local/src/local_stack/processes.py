"""Child processes on this machine: start, wait until ready, stop, kill, and recognise again after a crash.

Every server of the local stack is a `ChildProcess`. It leads a session of its own, so that Ctrl+C in the terminal
reaches only the program in front, and its output goes to one log file.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LOOPBACK = "127.0.0.1"
#: Below every system's range for clients (Linux: 32768 and up).
SERVER_PORTS = range(20_000, 32_000)
#: Bytes; a longer log is put aside at the next start, in the place of the one before.
LARGEST_LOG = 20_000_000


class LocalStackError(RuntimeError):
    """A part of the local stack could not do its work. `code` names a text of `texts.toml`, `params` fill it."""

    def __init__(self, code: str, /, **params: str | int) -> None:
        super().__init__(f"{code}: " + "; ".join(f"{name} {value}" for name, value in params.items()))
        self.code = code
        self.params = params


@dataclass(frozen=True)
class Account:
    """The user and group that a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class ProcessMark:
    """Names one process for good: a pid alone is used again by the system, pid and start time are not."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "ProcessMark | None":
        """The mark of a running process, or None when there is none of this pid."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def process(self) -> psutil.Process | None:
        """The process if it still runs (a zombie does not), else None."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.started) < 1 and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return found if same else None


@dataclass
class ChildProcess:
    """One program as a child of this process.

    `ready` is asked until it answers True; it must be cheap and must not raise. With `port` an answer counts only when it is
    this process that listens there, and not somebody else who took the port. `stop_signal` is the polite one.
    """

    name: str
    argv: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    port: int | None = None
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        """The pid of the last started process, or None before the first start."""
        return self.process.pid if self.process else None

    @property
    def alive(self) -> bool:
        """Whether the process runs now (this also reaps it when it has ended)."""
        return self.process is not None and self.process.poll() is None

    def spawn(self) -> None:
        """Start the process; does not wait for it to be ready."""
        if self.alive:
            raise LocalStackError("local-runs-already", name=self.name, pid=self.pid or 0)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".old.log"))
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                list(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if self.env is None else dict(self.env),
                cwd=self.cwd,
                start_new_session=True,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )

    def is_ready(self) -> bool:
        """Whether it answers, and it is itself that does."""
        return self.ready() and (self.port is None or self.listens(self.port))

    def listens(self, port: int) -> bool:
        """Whether the process listens on this TCP port."""
        try:
            connections = psutil.Process(self.pid).net_connections("tcp") if self.pid else []
        except psutil.NoSuchProcess:
            return False
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)

    def wait_ready(self, timeout: float, ending: threading.Event | None = None) -> None:
        """Wait until `ready`; raises LocalStackError with the end of the log when it dies or `timeout` seconds pass.

        Gives up at once when `ending` is set.
        """
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if not self.alive:
                code = self.process.returncode if self.process else 0
                raise LocalStackError("local-ended", code=code, **self._told())
            if ending is not None and ending.is_set():
                raise LocalStackError("local-broken-off", name=self.name)
            if time.monotonic() > deadline:
                raise LocalStackError("local-not-ready", seconds=round(timeout), **self._told())
            time.sleep(0.03)

    def _told(self) -> dict[str, str]:
        return {"name": self.name, "log": str(self.log), "output": self.log_tail()}

    def stop(self, grace: float = 10) -> None:
        """Ask it to end; kill it and what it started when it has not ended after `grace` seconds."""
        if self.process is None or not self.alive:
            return
        family = family_of(self.process.pid)
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
        end_all(family)

    def kill(self) -> None:
        """SIGKILL, as in a crash; returns when it and every process that it had started are gone."""
        if self.process is None:
            return
        family = family_of(self.process.pid)
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        end_all(family, patience=5)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        try:
            text = self.log.read_bytes()[-8000:].decode(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])


def family_of(pid: int) -> list[psutil.Process]:
    """All descendants of a process, none when it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def end_all(processes: Sequence[psutil.Process], patience: float = 0.5) -> None:
    """Wait `patience` seconds for these to end by themselves, then kill the rest."""
    for process in wait_gone(processes, patience):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_gone(processes, 5)


def wait_gone(processes: Sequence[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Those that still run after at most `timeout` seconds. A zombie is gone: its parent may never look."""
    deadline = time.monotonic() + timeout
    while True:
        left = [process for process in processes if _runs(process)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.03)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_orphans(processes: Sequence[psutil.Process], grace: float = 10) -> None:
    """End processes whose supervisor has vanished, politely first; PostgreSQL's polite signal is SIGINT."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    end_all(processes, patience=grace)


def marked(variable: str, value: str) -> list[psutil.Process]:
    """The processes of this machine, other than this one, whose environment was given `variable` = `value`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(variable) == value and _runs(process):
                found.append(process)
    return found


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None, *, taken: frozenset[int] = frozenset()) -> int:
    """`preferred` when it is free, else any free loopback port that is not in `taken`.

    None that the system gives to clients: a connection to anywhere could take it before a server listens.
    """
    if preferred is not None and preferred not in taken and port_is_free(preferred):
        return preferred
    while True:
        port = secrets.choice(SERVER_PORTS)
        if port not in taken and port_is_free(port):
            return port


def accepts(port: int) -> bool:
    """Whether something answers on this loopback port."""
    with socket.socket() as trial:
        trial.settimeout(0.5)
        return trial.connect_ex((LOOPBACK, port)) == 0


def is_root() -> bool:
    """Whether this process runs as root."""
    return os.geteuid() == 0
