"""Ports for a local stack that no other one of this user takes meanwhile: each is held by a lock file while it is needed.

Looking for a free port and listening on it are two moments; two stacks that start at once would find the same ones.
"""

import getpass
import tempfile
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from local_stack.processes import free_port, port_is_free


class PortClaims:
    """The ports of one stack by name: the wanted one where nobody has or claims it. Held until `release` or the process's end."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` holds the lock files; all stacks that shall not meet name the same."""
        self._folder = folder or Path(tempfile.gettempdir()) / f"unionhall-ports-{getpass.getuser()}"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._locks: list[FileLock] = []
        self.ports: dict[str, int] = {}

    def claim(self, wanted: dict[str, int]) -> Self:
        """A port for every name of `wanted`, the wanted one where possible."""
        for name, port in wanted.items():
            others = frozenset(wanted.values()) - {port}
            candidate = port
            while not self._hold(candidate):
                candidate = free_port(taken=others | frozenset(self.ports.values()))
            self.ports[name] = candidate
        return self

    def release(self) -> None:
        """Leave all to others."""
        for lock in self._locks:
            lock.release()
        self._locks.clear()
        self.ports.clear()

    def _hold(self, port: int) -> bool:
        """Whether nobody claims or uses the port; then it is ours."""
        if port in self.ports.values():
            return False
        lock = FileLock(self._folder / f"{port}.lock", timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            return False
        if not port_is_free(port):
            lock.release()
            return False
        self._locks.append(lock)
        return True
