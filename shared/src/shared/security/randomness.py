"""Where random bytes come from: a call of the system each, or, for who needs a million of them, one call for many."""

import os
from collections.abc import Callable
from typing import Final

#: Gives that many random bytes, fit for keys and nonces. `os.urandom` is one.
Draw = Callable[[int], bytes]

_AT_ONCE: Final = 1 << 15


class RandomPool:
    """A Draw that asks the system seldom and hands every byte out once. For a process of one thread that does not fork."""

    __slots__ = ("_bytes", "_next")

    def __init__(self) -> None:
        """Empty: the first draw fills it."""
        self._bytes = b""
        self._next = 0

    def __call__(self, count: int) -> bytes:
        """`count` random bytes, at most 32 KiB."""
        start = self._next
        self._next = end = start + count
        if end > len(self._bytes):
            self._bytes = os.urandom(_AT_ONCE)
            self._next = count
            return self._bytes[:count]
        return self._bytes[start:end]
