"""The code on the screen at the entrance: which session, which half minute, and a keyed hash that only this service can make.

It changes every 30 seconds and is good for the next 30 too, so that a photograph of it is of little use to who is not there.
"""

import base64
import binascii
import hmac
import struct
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from shared.kernel.errors import Conflict, Invalid
from shared.security.keys import KeyRing

SLOT_SECONDS: Final = 30
_PURPOSE: Final = "check-ins.code"
_MAC_BYTES: Final = 16
_WHAT: Final = struct.Struct(">16sHQ")
_LENGTH: Final = _WHAT.size + _MAC_BYTES
#: Characters of a code.
CODE_CHARACTERS: Final = -(-_LENGTH * 4 // 3)


class IssuedCode(NamedTuple):
    """A code and the moment after which it is refused."""

    code: str
    expires_at: datetime


class ReadCode(NamedTuple):
    """What a code stands for. Sessions count from 1."""

    activity_id: UUID
    session_number: int


def issue(ring: KeyRing, activity_id: UUID, session_number: int, now: datetime) -> IssuedCode:
    """The code of this half minute."""
    slot = _slot(now)
    what = _WHAT.pack(activity_id.bytes, session_number, slot)
    code = base64.urlsafe_b64encode(what + _mac(ring, ring.current("index"), what)).rstrip(b"=").decode()
    return IssuedCode(code, datetime.fromtimestamp((slot + 2) * SLOT_SECONDS, UTC))


def read(ring: KeyRing, code: str, now: datetime) -> ReadCode:
    """What a code stands for. Raises Invalid for one that was not made here, Conflict for one whose time is over."""
    try:
        raw = base64.b64decode(code + "=" * (-len(code) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("check-in-code-wrong", field="code") from None
    what, mac = raw[: _WHAT.size], raw[_WHAT.size :]
    if len(raw) != _LENGTH or not any(
        hmac.compare_digest(mac, _mac(ring, name, what)) for name in ring.names("index")
    ):
        raise Invalid("check-in-code-wrong", field="code")
    activity, session_number, slot = _WHAT.unpack(what)
    # One slot in the future: the process that made it may have a clock that goes before this one's.
    if not _slot(now) - 1 <= slot <= _slot(now) + 1:
        raise Conflict("check-in-code-expired")
    return ReadCode(UUID(bytes=activity), session_number)


def _slot(now: datetime) -> int:
    return int(now.timestamp()) // SLOT_SECONDS


def _mac(ring: KeyRing, key_name: str, what: bytes) -> bytes:
    return hmac.digest(ring.derive("index", _PURPOSE, key_name), what, "sha256")[:_MAC_BYTES]
