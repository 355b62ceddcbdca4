"""What the rules of the house look at: the project's own files, found by walking, so that a file not yet added counts."""

import ast
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Import package -> folder of its sources, for every package of the workspace.
PACKAGES = {
    "shared": ROOT / "shared/src/shared",
    "membership_service": ROOT / "services/membership/src/membership_service",
    "welfare_service": ROOT / "services/welfare/src/welfare_service",
    "events_service": ROOT / "services/events/src/events_service",
    "gateway_service": ROOT / "services/gateway/src/gateway_service",
    "unionhall_cli": ROOT / "cli/src/unionhall_cli",
    "local_stack": ROOT / "deploy/local/src/local_stack",
}
SERVICES = ("membership_service", "welfare_service", "events_service", "gateway_service")


@dataclass(frozen=True)
class Breach:
    """One place that breaks a rule; `line` counts from 1."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@dataclass(frozen=True)
class Source:
    """A file and its text; `path` is relative to the root, with slashes."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """The syntax tree of a Python file."""
        return _parse(self.text, self.path)


@cache
def _parse(text: str, path: str) -> ast.Module:
    return ast.parse(text, filename=path)


def _ignored_folders() -> set[str]:
    """Folder names that .gitignore leaves out, and git's own."""
    lines = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    return {line.rstrip("/") for line in lines if line.endswith("/")} | {".git"}


def _walk() -> Iterator[Path]:
    ignored = _ignored_folders()
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(
            name for name in folders if name not in ignored and not name.endswith(".egg-info")
        )
        for name in sorted(names):
            yield Path(folder) / name


@cache
def own_files() -> tuple[Source, ...]:
    """Every text file that belongs to the project; the lock files and the licence, which are others' words, left out."""
    found = []
    for path in _walk():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("locks/") or name in {"LICENSE", "uv.lock", ".env"} or name.endswith(".log"):
            continue
        try:
            found.append(Source(name, path.read_text("utf-8")))
        except UnicodeDecodeError:
            continue  # a picture, a font, a workbook
    return tuple(found)


def python_files(*, tests: bool = True) -> tuple[Source, ...]:
    """Python files; with `tests=False` only those that run in production or on an operator's machine."""
    return tuple(
        source
        for source in own_files()
        if source.path.endswith(".py") and (tests or not source.path.startswith("tests/"))
    )


def product_files() -> tuple[Source, ...]:
    """Python files of the packages, the test plugin left out."""
    return tuple(
        source
        for source in python_files(tests=False)
        if "/src/" in source.path and not source.path.startswith("shared/src/shared/testing/")
    )


def workspace_manifests() -> dict[str, dict[str, object]]:
    """Path -> content of each pyproject.toml of the workspace."""
    return {
        source.path: tomllib.loads(source.text)
        for source in own_files()
        if source.path.endswith("pyproject.toml")
    }


def report(breaches: list[Breach]) -> str:
    """All breaches, one a line: the message of a failing rule."""
    return "\n".join(["", *sorted(map(str, breaches))])
