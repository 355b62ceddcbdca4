"""The jars of Apache Kafka: fetched once by `jgo` into the user's cache, and checked against the committed sums.

`kafka.sha256` pins every jar of the closure of `org.apache.kafka:kafka_2.13` and one logger. Nothing is resolved at
run time, so what runs here is what was tried, whatever repository the jars come from.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import platformdirs
from filelock import FileLock
from jgo.maven import MavenContext

from local_stack.processes import LocalStackError

#: Names another Maven repository, for a user behind a mirror; the sums hold whatever it serves.
REPOSITORY_VARIABLE = "UNIONHALL_MAVEN_REPOSITORY"
TRIES = 3


def kafka_jars() -> list[Path]:
    """The paths of all jars, in the order of the list, fetched if need be.

    Raises LocalStackError when one cannot be fetched or is not the pinned one.
    """
    cache = platformdirs.user_cache_path("unionhall") / "maven"
    cache.mkdir(parents=True, exist_ok=True)
    mirror = os.environ.get(REPOSITORY_VARIABLE)
    context = MavenContext(repo_cache=cache, remote_repos={"mirror": mirror} if mirror else None, timeout=60)
    # Two processes that fetch at once would write the same files.
    with FileLock(cache / ".lock"), ThreadPoolExecutor(12) as pool:
        return list(pool.map(lambda pin: _fetch(context, *pin), _pins()))


def _pins() -> Iterator[tuple[str, str]]:
    """Pairs of SHA-256 (hex) and Maven coordinate."""
    for line in files("local_stack").joinpath("kafka.sha256").read_text(encoding="utf-8").splitlines():
        digest, coordinate = line.split()
        yield digest, coordinate


def _fetch(context: MavenContext, digest: str, coordinate: str) -> Path:
    artifact = context.create_dependency(coordinate).artifact
    reason = ""
    for _ in range(TRIES):
        try:
            jar = artifact.resolve()
        except (OSError, RuntimeError) as error:
            reason = str(error)
        else:
            if hashlib.sha256(jar.read_bytes()).hexdigest() == digest:
                return jar
            reason = "its SHA-256 is not the pinned one"
        # Half a file of a broken connection would otherwise be taken for the jar for ever.
        if artifact.cached_path:
            artifact.cached_path.unlink(missing_ok=True)
    raise LocalStackError(f"cannot fetch {coordinate}: {reason}")
