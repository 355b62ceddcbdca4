"""The key ring: named keys for each purpose, of which one is current and the older ones still open what they sealed.

The file holds what a key management service hands out at start (`KeyRing.load`); it is JSON, readable by its owner alone:
`{"field": {"current": "f1", "keys": {"f1": "<base64 of 32 bytes>"}}, "index": {...}, "cursor": {...}, "audit": {...}}`.
"""

import base64
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, Self

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.security.randomness import Draw

#: field: wraps data keys of persons and files; index: blind indexes; cursor: page cursors, stored replies; audit: the chain.
Purpose = Literal["field", "index", "cursor", "audit"]
PURPOSES: Final[tuple[Purpose, ...]] = ("field", "index", "cursor", "audit")

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_WRAPPED_CONTEXT: Final = b"data-key"


class KeyProblem(Exception):
    """The key ring cannot be used; the message names what is wrong, never a key."""


class SealBroken(Exception):
    """What was sealed cannot be opened: changed, moved to another place, or sealed under a key that is not there."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one purpose. `current` seals; all of them open."""

    current: str
    keys: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        # Whoever mixes up a key and its name must not find the key in a log: neither is told.
        if self.current not in self.keys:
            raise KeyProblem("the current key is not among the keys")
        for name, key in self.keys.items():
            if len(key) != KEY_BYTES or not 0 < len(name.encode()) < 256:
                raise KeyProblem(f"a key must have a short name and {KEY_BYTES} bytes")


def is_open_to_others(status: os.stat_result) -> bool:
    """Whether somebody but the owner may read or change the file.

    Kubernetes hands secrets over as root's files, readable by a group that the pod's own processes alone are in: closed too.
    """
    allowed = (
        stat.S_IRGRP if status.st_uid == 0 and status.st_gid in {os.getegid(), *os.getgroups()} - {0} else 0
    )
    return bool(status.st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~allowed)


class KeyRing:
    """All keys of a process."""

    def __init__(self, purposes: Mapping[Purpose, Keys]) -> None:
        """Every purpose must be there: a missing key is found at start, not at the first secret."""
        missing = [purpose for purpose in PURPOSES if purpose not in purposes]
        if missing:
            raise KeyProblem(f"no keys for {', '.join(missing)}")
        self._purposes = dict(purposes)
        self._ciphers = {
            (purpose, name): AESGCM(key)
            for purpose, keys in purposes.items()
            for name, key in keys.keys.items()
        }
        self._prefixes = {
            purpose: bytes([len(keys.current.encode())]) + keys.current.encode()
            for purpose, keys in purposes.items()
        }
        self._derived = lru_cache(maxsize=256)(self._derive)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the ring from a file that nobody but its owner may read. Raises KeyProblem."""
        try:
            status = path.stat()
            raw = json.loads(path.read_bytes(), object_pairs_hook=_once)
        except OSError as wrong:
            raise KeyProblem(f"the key file cannot be read ({wrong.strerror})") from None
        except (ValueError, RecursionError):
            raise KeyProblem("the key file is not JSON") from None
        if os.name == "posix" and is_open_to_others(status):
            raise KeyProblem("the key file may be read by others: chmod 600")
        try:
            return cls({purpose: _keys(purpose, raw[purpose]) for purpose in PURPOSES if purpose in raw})
        # ValueError: a key that is no base64.
        except (KeyError, TypeError, AttributeError, ValueError):
            raise KeyProblem("the key file has another form than expected") from None

    def current(self, purpose: Purpose) -> str:
        """The name of the key that seals now."""
        return self._purposes[purpose].current

    def names(self, purpose: Purpose) -> tuple[str, ...]:
        """The names of all keys of `purpose`."""
        return tuple(self._purposes[purpose].keys)

    def in_use(self, purpose: Purpose) -> tuple[str, ...]:
        """The names of all keys of `purpose`, the current one first."""
        current = self.current(purpose)
        return (current, *(name for name in self.names(purpose) if name != current))

    def derive(self, purpose: Purpose, info: str, key_id: str | None = None) -> bytes:
        """A key of 32 bytes for one narrow use (HKDF-SHA-256), from the current key or the one named."""
        return self._derived(purpose, info, key_id or self.current(purpose))

    def _derive(self, purpose: Purpose, info: str, key_id: str) -> bytes:
        keys = self._purposes[purpose].keys
        if key_id not in keys:
            raise SealBroken(f"there is no {purpose} key {key_id!r}")
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode()).derive(keys[key_id])

    def seal(self, purpose: Purpose, plaintext: bytes, *, context: bytes, draw: Draw = os.urandom) -> bytes:
        """AES-256-GCM under the current key: key name, nonce, ciphertext. Opens only with the same `context`."""
        nonce = draw(NONCE_BYTES)
        cipher = self._ciphers[purpose, self.current(purpose)]
        return self._prefixes[purpose] + nonce + cipher.encrypt(nonce, plaintext, context)

    def unseal(self, purpose: Purpose, sealed: bytes, *, context: bytes) -> bytes:
        """Open what `seal` made. Raises SealBroken."""
        name = key_name(sealed)
        cipher = self._ciphers.get((purpose, name))
        if cipher is None:
            raise SealBroken(f"there is no {purpose} key {name!r}")
        start = 1 + sealed[0] + NONCE_BYTES
        try:
            return cipher.decrypt(sealed[1 + sealed[0] : start], sealed[start:], context)
        except (InvalidTag, ValueError):
            raise SealBroken(f"sealed under {purpose} key {name!r}, changed since") from None

    def wrap(self, data_key: bytes, draw: Draw = os.urandom) -> bytes:
        """A data key, sealed under the current key-encryption key."""
        return self.seal("field", data_key, context=_WRAPPED_CONTEXT, draw=draw)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Open a wrapped data key. Raises SealBroken."""
        return self.unseal("field", wrapped, context=_WRAPPED_CONTEXT)

    def is_current(self, wrapped: bytes) -> bool:
        """Whether `wrapped` is under the current key-encryption key; if not, rotation has still to rewrap it."""
        return wrapped.startswith(self._prefixes["field"])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the file. Of two keys under one name the first would open nothing any more, and nobody would know why."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise KeyProblem("the key file has two entries of one name")
    return found


def _keys(purpose: Purpose, written: Any) -> Keys:
    try:
        keys = {name: base64.b64decode(key, validate=True) for name, key in written["keys"].items()}
        return Keys(written["current"], keys)
    except KeyProblem as problem:
        raise KeyProblem(f"{purpose}: {problem}") from None


def key_name(sealed: bytes) -> str:
    """The name of the key something is sealed under. Raises SealBroken for what was never sealed."""
    try:
        return sealed[1 : 1 + sealed[0]].decode()
    except (IndexError, UnicodeDecodeError):
        raise SealBroken("not a sealed value") from None


def new_ring_json() -> bytes:
    """The file of a fresh ring with one random key for each purpose; write it with mode 0600."""
    ring = {
        purpose: {
            "current": f"{purpose[0]}1",
            "keys": {f"{purpose[0]}1": base64.b64encode(os.urandom(KEY_BYTES)).decode()},
        }
        for purpose in PURPOSES
    }
    return orjson.dumps(ring, option=orjson.OPT_INDENT_2)
