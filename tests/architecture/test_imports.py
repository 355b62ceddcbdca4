"""Who may import whom: the contracts of pyproject.toml hold, and each of them notices a planted violation."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGES, ROOT, Breach, Source, product_files, report


def lint_imports(cache: Path, packages: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Check the packages, or the copies of them found under `packages`, against the contracts of the project."""
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--no-logo", "--config", ROOT / "pyproject.toml", "--cache-dir", cache],
        cwd=cache,
        env={**os.environ, "PYTHONPATH": str(packages or ""), "COLUMNS": "400", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of all packages, side by side, to be spoilt."""
    folder = tmp_path_factory.mktemp("packages")
    for name, source in PACKAGES.items():
        shutil.copytree(
            source, folder / name, ignore=lambda _, names: [n for n in names if n == "__pycache__"]
        )
    return folder


#: Contract -> module, planted line, what its report names.
PLANTED = {
    "Services never import each other": (
        "gateway_service/planted_a.py",
        "import membership_service.planted_target",
        "gateway_service.planted_a -> membership_service.planted_target",
    ),
    "shared knows no service": (
        "shared/web/planted_b.py",
        "import membership_service.planted_target",
        "shared.web.planted_b -> membership_service.planted_target",
    ),
    "A service's image holds": (
        "membership_service/planted_c.py",
        "import local_stack.planted_target",
        "membership_service.planted_c -> local_stack.planted_target",
    ),
    "The command and the local stack meet": (
        "unionhall_cli/planted_d.py",
        "import membership_service.planted_target",
        "unionhall_cli.planted_d -> membership_service.planted_target",
    ),
    "Layers of shared": (
        "shared/database/planted_e.py",
        "import shared.web.planted_target",
        "shared.database.planted_e -> shared.web.planted_target",
    ),
    "kernel and every domain do no IO": (
        "membership_service/planted_slice/domain.py",
        "import sqlalchemy",
        "membership_service.planted_slice.domain -> sqlalchemy",
    ),
    "Only a repository touches tables": (
        "membership_service/planted_slice/use_cases.py",
        "import membership_service.planted_slice.tables",
        "membership_service.planted_slice.use_cases -> membership_service.planted_slice.tables",
    ),
    "Slices of a service form no cycle": (
        "gateway_service/planted_slice/api.py",
        "import gateway_service.planted_other.api",
        ".planted_slice -> .planted_other",
    ),
}


@pytest.fixture(scope="module")
def verdict(copied: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a tree in which every contract is broken once."""
    for name in ("membership_service", "local_stack", "shared/web"):
        (copied / name / "planted_target.py").touch()
    for name, line in {
        "membership_service/planted_slice/__init__.py": "",
        "membership_service/planted_slice/tables.py": "",
        "gateway_service/planted_slice/__init__.py": "",
        "gateway_service/planted_other/__init__.py": "",
        "gateway_service/planted_other/api.py": "import gateway_service.planted_slice.api",
        **{name: line for name, line, _ in PLANTED.values()},
    }.items():
        (copied / name).parent.mkdir(exist_ok=True)
        (copied / name).write_text(line + "\n", "utf-8")
    result = lint_imports(tmp_path_factory.mktemp("cache"), copied)
    assert result.returncode != 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.timeout(90)
def test_the_contracts_hold(tmp_path: Path) -> None:
    result = lint_imports(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("contract", PLANTED)
def test_each_contract_notices_a_planted_import(contract: str, verdict: str) -> None:
    _, _, named = PLANTED[contract]
    assert any(line.startswith(contract) and " BROKEN" in line for line in verdict.splitlines()), verdict
    assert named in verdict, verdict


def kernel_breaches(sources: tuple[Source, ...]) -> list[Breach]:
    """`shared.kernel` stands on the standard library alone."""
    breaches = []
    for source in sources:
        if not source.path.startswith("shared/src/shared/kernel/"):
            continue
        for node in ast.walk(source.tree):
            match node:
                case ast.Import(names=aliases):
                    names = [alias.name for alias in aliases]
                case ast.ImportFrom(module=str(name)):
                    names = [name]
                case _:
                    continue
            breaches += [
                Breach(source.path, node.lineno, f"kernel imports {name}")
                for name in names
                if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith("shared.kernel")
            ]
    return breaches


def test_kernel_stands_on_the_standard_library_alone() -> None:
    breaches = kernel_breaches(product_files())
    assert not breaches, report(breaches)


def test_a_planted_library_in_the_kernel_is_noticed() -> None:
    planted = Source("shared/src/shared/kernel/planted.py", "import json\nfrom orjson import dumps\n")
    assert [str(breach) for breach in kernel_breaches((planted,))] == [
        "shared/src/shared/kernel/planted.py:2: kernel imports orjson"
    ]
