"""Sensitive fields: AES-256-GCM under a data key of the person, which is stored wrapped beside the person's row.

The associated data names table, column, record and the key's version, so a sealed value opens only where it was put: one
copied to another row or column fails. Destroying the wrapped key makes all of a person's fields unreadable for good.
All functions are pure but for the random nonce and take a few microseconds: imports call them a million times.
"""

import os
from functools import lru_cache
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.security.keys import KEY_BYTES, NONCE_BYTES, KeyRing, SealBroken
from shared.security.randomness import Draw

#: Version of a person's first data key; a new key for the person counts on.
FIRST_KEY_VERSION: Final = 1


class PersonKey:
    """The data key of one person, open in memory. `wrapped` is what the row stores."""

    __slots__ = ("_cipher", "_draw", "data_key", "version", "wrapped")

    def __init__(
        self, data_key: bytes, wrapped: bytes, version: int = FIRST_KEY_VERSION, draw: Draw = os.urandom
    ) -> None:
        """Use `new` or `opened`."""
        self._cipher = AESGCM(data_key)
        self._draw = draw
        self.data_key = data_key
        self.wrapped = wrapped
        self.version = version

    @classmethod
    def new(cls, ring: KeyRing, draw: Draw = os.urandom) -> "PersonKey":
        """A fresh data key; it and all nonces come from `draw`."""
        data_key = draw(KEY_BYTES)
        return cls(data_key, ring.wrap(data_key, draw), draw=draw)

    @classmethod
    def opened(cls, ring: KeyRing, wrapped: bytes | None, version: int = FIRST_KEY_VERSION) -> "PersonKey":
        """The key of a stored person. Raises SealBroken, also when it was destroyed (None)."""
        if wrapped is None:
            raise SealBroken("the person was erased: the key is destroyed")
        return cls(ring.unwrap(wrapped), wrapped, version)

    def seal(self, plaintext: str, *, table: str, column: str, record: UUID) -> bytes:
        """Seal one field of this person."""
        nonce = self._draw(NONCE_BYTES)
        return nonce + self._cipher.encrypt(
            nonce, plaintext.encode(), _place(table, column, record, self.version)
        )

    def unseal(self, sealed: bytes, *, table: str, column: str, record: UUID) -> str:
        """Open one field of this person. Raises SealBroken."""
        place = _place(table, column, record, self.version)
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place).decode()
        except (InvalidTag, ValueError):
            raise SealBroken(f"{table}.{column} of {record}: changed or moved") from None


def seal(
    data_key: bytes, plaintext: str, *, table: str, column: str, record: UUID, key_version: int
) -> bytes:
    """Nonce and ciphertext of one field. With several fields of one person, PersonKey.seal is quicker."""
    return PersonKey(data_key, b"", key_version).seal(plaintext, table=table, column=column, record=record)


def unseal(data_key: bytes, sealed: bytes, *, table: str, column: str, record: UUID, key_version: int) -> str:
    """The plaintext of one field. Raises SealBroken if it was changed or belongs elsewhere."""
    return PersonKey(data_key, b"", key_version).unseal(sealed, table=table, column=column, record=record)


def _place(table: str, column: str, record: UUID, version: int) -> bytes:
    return _column(table, column, version) + record.bytes


@lru_cache(maxsize=256)
def _column(table: str, column: str, version: int) -> bytes:
    return f"{table}|{column}|{version}|".encode()
