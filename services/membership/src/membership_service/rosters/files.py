"""The uploaded file: kept in sealed pieces under a key of its own, read again only by the child (settled §28)."""

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.security.blind_index import blind
from shared.security.keys import KEY_BYTES, NONCE_BYTES, KeyRing, SealBroken

PIECE_BYTES: Final = 1024 * 1024
_PURPOSE: Final = "rosters.file"


class Upload(Protocol):
    """What a form brings."""

    async def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        ...

    async def seek(self, offset: int) -> None:
        """Go to a position."""
        ...


async def fingerprint(ring: KeyRing, upload: Upload) -> tuple[bytes, int]:
    """Blind index and length of the content; the upload stands at its beginning again."""
    digest, size = hashlib.sha256(), 0
    while piece := await upload.read(PIECE_BYTES):
        digest.update(piece)
        size += len(piece)
    await upload.seek(0)
    return blind(ring, _PURPOSE, digest.hexdigest()), size


def new_key(ring: KeyRing) -> tuple[bytes, bytes]:
    """A fresh key for one file, open and wrapped."""
    key = os.urandom(KEY_BYTES)
    return key, ring.wrap(key)


async def sealed_pieces(key: bytes, import_id: UUID, upload: Upload) -> AsyncIterator[tuple[int, bytes]]:
    """(position, sealed piece) one after the other."""
    cipher, position = AESGCM(key), 0
    while piece := await upload.read(PIECE_BYTES):
        nonce = os.urandom(NONCE_BYTES)
        yield position, nonce + cipher.encrypt(nonce, piece, _place(import_id, position))
        position += 1


async def opened_pieces(
    key: bytes, import_id: UUID, read: Callable[[int], Awaitable[bytes | None]]
) -> AsyncIterator[bytes]:
    """The file's content, piece by piece as `read(position)` brings them. Raises SealBroken."""
    cipher, position = AESGCM(key), 0
    while (sealed := await read(position)) is not None:
        try:
            yield cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(import_id, position))
        except InvalidTag:
            raise SealBroken(
                f"piece {position} of the file of import {import_id}: changed or moved"
            ) from None
        position += 1


def _place(import_id: UUID, position: int) -> bytes:
    return f"roster-file|{position}|".encode() + import_id.bytes
