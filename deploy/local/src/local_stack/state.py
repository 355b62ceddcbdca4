"""What the supervisor tells the world: phase, steps of the start, addresses, and one line per process."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from local_stack.layout import Layout
from local_stack.processes import ProcessMark

Phase = Literal["stopped", "starting", "running", "stopping", "failed", "crashed"]


@dataclass(frozen=True)
class Step:
    """One step of a start. `code` names a text of `texts.toml`, `params` fill it; `seconds` from the beginning."""

    code: str
    params: dict[str, str | int]
    seconds: float


@dataclass(frozen=True)
class Failure:
    """Why a start failed: `code` names a text of `texts.toml`, `params` fill it."""

    code: str
    params: dict[str, str | int]


@dataclass(frozen=True)
class ProcessStatus:
    """One process: `state` is starting, running, backoff or stopped; `since` is Unix time of that state."""

    name: str
    state: str
    pid: int | None
    port: int | None
    restarts: int
    since: float
    log: str


@dataclass(frozen=True)
class StackStatus:
    """The whole local stack, as `state.json` holds it. Addresses are empty until they are known."""

    gateway: str = ""
    phase: Phase = "stopped"
    identity: str = ""
    issuer: str = ""
    kafka: str = ""
    ports: dict[str, int] = field(default_factory=dict)
    postgres: str = ""
    root: str = ""
    error: Failure | None = None
    supervisor: tuple[int, float] | None = None
    steps: tuple[Step, ...] = ()
    processes: tuple[ProcessStatus, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether the supervisor that wrote this still runs."""
        return self.supervisor is not None and ProcessMark(*self.supervisor).process() is not None

    def write(self, path: Path) -> None:
        """Store it, whole or not at all."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False), encoding="utf-8")
        fresh.replace(path)


def read_state(layout: Layout) -> StackStatus:
    """What was written last; a stack that was never started is "stopped"."""
    try:
        raw = json.loads(layout.state.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return StackStatus(root=str(layout.root))
    raw["steps"] = tuple(Step(**step) for step in raw["steps"])
    raw["processes"] = tuple(ProcessStatus(**process) for process in raw["processes"])
    raw["error"] = Failure(**raw["error"]) if raw["error"] else None
    raw["supervisor"] = tuple(raw["supervisor"]) if raw["supervisor"] else None
    return StackStatus(**raw)
