"""Start, stop and look at the local stack: what `unionhall up`, `down` and `status` call."""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from filelock import FileLock

from local_stack import elsewhere
from local_stack.layout import Layout, Secrets
from local_stack.plan import MARK_VARIABLE, SERVICES, Addresses, base_environment, service_settings
from local_stack.postgres import PostgresServer
from local_stack.processes import LOOPBACK, LocalStackError, ProcessMark, end_orphans, marked
from local_stack.state import StackStatus, Step, read_state

UP_TIMEOUT = 240.0
#: The first broker of a machine takes its time to end, for the good of those after it.
DOWN_TIMEOUT = 90.0


def up(
    layout: Layout | None = None,
    on_step: Callable[[Step], None] = lambda _: None,
    services: Sequence[str] = SERVICES,
) -> StackStatus:
    """Start the local stack and return when all of it is ready; a running one is left as it is.

    `on_step` hears every step as it is done. Raises LocalStackError when the start fails; nothing is left running then.
    Two calls at once do not fight: the second waits and finds it running.
    """
    if there := elsewhere.installation():
        return there
    layout = layout or Layout.default()
    layout.root.mkdir(parents=True, exist_ok=True)
    with _alone(layout):
        found = read_state(layout)
        if found.alive and found.phase == "running":
            return found
        _end_remains(layout)
        layout.make()
        supervisor = _launch(layout, services)
        return _follow(layout, supervisor, on_step)


def down(layout: Layout | None = None) -> bool:
    """Stop the local stack, and what a killed supervisor may have left behind. False when nothing ran."""
    layout = layout or Layout.default()
    if not layout.root.exists():
        return False
    with _alone(layout):
        return _end_remains(layout)


def erase(layout: Layout | None = None) -> None:
    """Stop the local stack and delete all that it ever kept, keys and data."""
    layout = layout or Layout.default()
    down(layout)
    if layout.root.exists():
        PostgresServer(layout.root / "postgres").destroy()
        shutil.rmtree(layout.root)


def status(layout: Layout | None = None) -> StackStatus:
    """What runs now, here or at the installation that is named. "crashed": the supervisor vanished without saying so."""
    if there := elsewhere.installation():
        return there
    layout = layout or Layout.default()
    found = read_state(layout)
    if found.phase in {"stopped", "failed"} or found.alive:
        return found
    return replace(found, phase="crashed")


def environment_of(service: str, layout: Layout | None = None) -> dict[str, str]:
    """The environment of a program that works for one service of the running local stack ("membership").

    Raises LocalStackError when it does not run.
    """
    if elsewhere.installation():
        raise LocalStackError("local-elsewhere", name=elsewhere.GATEWAY_VARIABLE)
    layout = layout or Layout.default()
    found = status(layout)
    if found.phase != "running":
        raise LocalStackError("local-not-running", root=str(layout.root))
    secrets = Secrets.read(layout)
    addresses = Addresses(found.ports, f"postgresql://{found.postgres}/postgres", found.kafka, found.issuer)
    return base_environment(layout) | service_settings(service, layout, secrets, addresses)


def bank_url() -> str:
    """Where the made-up bank of the running installation answers."""
    return elsewhere.bank() or f"http://{LOOPBACK}:{status().ports['bank']}"


def _alone(layout: Layout) -> FileLock:
    return FileLock(layout.root / "control.lock", timeout=UP_TIMEOUT)


def _launch(layout: Layout, services: Sequence[str]) -> ProcessMark | None:
    """Start the supervisor, as nobody's child in practice: it outlives this process and the terminal."""
    layout.state.unlink(missing_ok=True)
    log = str(layout.supervisor_log)
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "local_stack.supervisor", str(layout.root), *services],
        os.environ | {MARK_VARIABLE: str(layout.root)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return ProcessMark.of(pid)


def _follow(layout: Layout, supervisor: ProcessMark | None, on_step: Callable[[Step], None]) -> StackStatus:
    """Pass on the steps until it runs or has failed."""
    told = 0
    deadline = time.monotonic() + UP_TIMEOUT
    while True:
        ended = supervisor is None or supervisor.process() is None
        found = read_state(layout)
        for step in found.steps[told:]:
            on_step(step)
        told = len(found.steps)
        if found.phase == "running" and not ended:
            return found
        if ended or time.monotonic() > deadline:
            _end_remains(layout)
            if found.error:
                raise LocalStackError(found.error.code, **found.error.params)
            raise LocalStackError("local-no-start", log=str(layout.supervisor_log))
        time.sleep(0.05)


def _end_remains(layout: Layout) -> bool:
    """End the supervisor, which ends all others; then whatever is still there. False when nothing was."""
    found = read_state(layout)
    supervisor = ProcessMark(*found.supervisor).process() if found.supervisor else None
    if supervisor:
        supervisor.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + DOWN_TIMEOUT
        while found.alive and time.monotonic() < deadline:
            time.sleep(0.05)
    remains = [process for process in marked(MARK_VARIABLE, str(layout.root)) if process.pid != os.getpid()]
    end_orphans(remains)
    return bool(supervisor or remains)
