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
from typing import TYPE_CHECKING

import platformdirs
from filelock import FileLock

from local_stack.processes import LocalStackError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

#: Names another Maven repository, for a user behind a mirror; the sums hold whatever it serves.
REPOSITORY_VARIABLE = "UNIONHALL_MAVEN_REPOSITORY"
TRIES = 3


def kafka_jars() -> list[Path]:
    """The paths of all jars, in the order of the list, fetched if need be.

    Raises LocalStackError when one cannot be fetched or is not the pinned one.
    """
    cache = cache_folder() / "maven"
    cache.mkdir(parents=True, exist_ok=True)
    # Two processes that fetch at once would write the same files.
    with FileLock(cache / ".lock"), ThreadPoolExecutor(12) as pool:
        kept = list(pool.map(lambda pin: _kept(cache, *pin), _pins()))
        if all(kept):
            return [jar for jar in kept if jar]
        context = _context(cache)
        return list(pool.map(lambda pin: _fetch(context, *pin), _pins()))


def cache_folder() -> Path:
    """What is fetched or made once for a user of this machine, whatever the clone."""
    return platformdirs.user_cache_path("unionhall")


def _context(cache: Path) -> "MavenContext":
    # Only who fetches waits for the import, which brings an HTTP client.
    from jgo.maven import MavenContext  # noqa: PLC0415

    mirror = os.environ.get(REPOSITORY_VARIABLE)
    return MavenContext(repo_cache=cache, remote_repos={"mirror": mirror} if mirror else None, timeout=60)


def _kept(cache: Path, digest: str, coordinate: str) -> Path | None:
    """The jar in the cache if it is the pinned one."""
    group, name, version = coordinate.split(":")
    jar = cache.joinpath(*group.split("."), name, version, f"{name}-{version}.jar")
    return jar if jar.exists() and _is_pinned(jar, digest) else None


def _is_pinned(jar: Path, digest: str) -> bool:
    return hashlib.sha256(jar.read_bytes()).hexdigest() == digest


def _pins() -> Iterator[tuple[str, str]]:
    """Pairs of SHA-256 (hex) and Maven coordinate."""
    for line in files("local_stack").joinpath("kafka.sha256").read_text(encoding="utf-8").splitlines():
        digest, coordinate = line.split()
        yield digest, coordinate


def _fetch(context: "MavenContext", digest: str, coordinate: str) -> Path:
    artifact = context.create_dependency(coordinate).artifact
    refused = LocalStackError("local-other-sum", name=coordinate)
    for _ in range(TRIES):
        try:
            jar = artifact.resolve()
        except (OSError, RuntimeError) as error:
            refused = LocalStackError("local-cannot-fetch", name=coordinate, reason=str(error))
        else:
            if _is_pinned(jar, digest):
                return jar
            refused = LocalStackError("local-other-sum", name=coordinate)
        # Half a file of a broken connection would otherwise be taken for the jar for ever.
        if artifact.cached_path:
            artifact.cached_path.unlink(missing_ok=True)
    raise refused
