"""Time-ordered identifiers (UUIDv7, RFC 9562 §5.7)."""

import os
import time
from uuid import UUID


def new_id(unix_ms: int | None = None) -> UUID:
    """A UUIDv7: 48 bits of Unix milliseconds, 74 random bits. `unix_ms` defaults to now."""
    milliseconds = time.time_ns() // 1_000_000 if unix_ms is None else unix_ms
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    value &= ~(0xF << 76 | 0x3 << 62)
    return UUID(int=value | 0x7 << 76 | 0x2 << 62)


def ordered_id(unix_ms: int, position: int, random: bytes) -> UUID:
    """A UUIDv7 of a batch that began at `unix_ms`; the ids of rising positions rise, so that indexes grow at their end.

    RFC 9562 §6.2, method 1: the 12 bits behind the version count and carry over into the milliseconds; `random` is 8 bytes.
    """
    milliseconds = unix_ms + (position >> 12) & (1 << 48) - 1
    count, noise = position & 0xFFF, int.from_bytes(random, "big") >> 2
    return UUID(int=milliseconds << 80 | 0x7 << 76 | count << 64 | 0x2 << 62 | noise)
