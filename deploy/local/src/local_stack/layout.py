"""Where the local stack keeps what it has: one folder, `.unionhall/`, and the secrets that it makes on its first start."""

import base64
import json
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.database.provision import ROLES

#: Names another folder for the local data.
HOME_VARIABLE = "UNIONHALL_HOME"
KEY_PURPOSES = {"field": "f1", "index": "i1", "cursor": "c1", "audit": "a1"}


@dataclass(frozen=True)
class Layout:
    """The paths below the folder of one local stack."""

    root: Path

    def __post_init__(self) -> None:
        # Processes are recognised by this path in their environment: one folder, one spelling.
        object.__setattr__(self, "root", self.root.resolve())

    @classmethod
    def default(cls) -> "Layout":
        """`UNIONHALL_HOME`, else `.unionhall` beside the `.venv` that runs this, else in the current folder."""
        named = os.environ.get(HOME_VARIABLE)
        project = Path(sys.prefix).parent
        if named:
            return cls(Path(named))
        return cls((project if (project / "pyproject.toml").exists() else Path.cwd()) / ".unionhall")

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.root / "logs"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor says of itself, beyond its state."""
        return self.logs / "supervisor.log"

    @property
    def state(self) -> Path:
        """What the supervisor says of itself and its processes."""
        return self.root / "state.json"

    @property
    def keys(self) -> Path:
        """The key ring of the services."""
        return self.root / "keys.json"

    @property
    def secrets(self) -> Path:
        """Passwords of the database."""
        return self.root / "secrets.json"

    def make(self) -> "Secrets":
        """Create the folder, the key ring and the secrets where they are missing; give the secrets."""
        self.logs.mkdir(parents=True, exist_ok=True)
        if not self.keys.exists():
            write_private(self.keys, _new_keys())
        if not self.secrets.exists():
            write_private(self.secrets, _new_secrets())
        return Secrets.read(self)


@dataclass(frozen=True)
class Secrets:
    """Passwords of the superuser and of each role."""

    superuser: str
    roles: dict[str, str]

    @classmethod
    def read(cls, layout: Layout) -> "Secrets":
        """Those of an existing local stack; FileNotFoundError when there is none."""
        return cls(**json.loads(layout.secrets.read_text(encoding="utf-8")))


def _new_keys() -> dict[str, Any]:
    new: Callable[[], str] = lambda: base64.b64encode(secrets.token_bytes(32)).decode()  # noqa: E731
    return {purpose: {"current": name, "keys": {name: new()}} for purpose, name in KEY_PURPOSES.items()}


def _new_secrets() -> dict[str, Any]:
    return {
        "superuser": secrets.token_urlsafe(24),
        "roles": {role: secrets.token_urlsafe(24) for role in ROLES},
    }


def write_private(path: Path, content: Any) -> None:
    """Write JSON that only its owner may read, whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        json.dump(content, file, indent=1)
    fresh.replace(path)
