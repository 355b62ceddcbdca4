"""Finding a sealed value without opening it: HMAC-SHA-256 under a key of its own for every field and purpose.

A plain hash of a resident ID falls to a thousand guesses; without the ring's index key these values say nothing.
"""

from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from shared.security.keys import KeyRing

INDEX_BYTES: Final = 16


def blind(ring: KeyRing, purpose: str, value: str) -> bytes:
    """The blind index (16 bytes) of `value`, normalised by the caller. `purpose` names the use, e.g. "members.phone"."""
    return BlindIndex(ring, purpose).of(value)


class BlindIndex:
    """The blind indexes of one purpose, with the key's part of the hash done once: for many values."""

    __slots__ = ("_keyed",)

    def __init__(self, ring: KeyRing, purpose: str, key_id: str | None = None) -> None:
        """See `blind`. `key_id` names another index key than the current one."""
        self._keyed = HMAC(ring.derive("index", purpose, key_id), SHA256())

    def of(self, value: str) -> bytes:
        """The blind index (16 bytes) of `value`, normalised by the caller."""
        hashing = self._keyed.copy()
        hashing.update(value.encode())
        return hashing.finalize()[:INDEX_BYTES]
