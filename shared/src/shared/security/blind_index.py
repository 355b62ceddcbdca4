"""Finding a sealed value without opening it: HMAC-SHA-256 under a key of its own for every field and purpose.

A plain hash of a resident ID falls to a thousand guesses; without the ring's index key these values say nothing.
"""

import hmac
from typing import Final

from shared.security.keys import KeyRing

INDEX_BYTES: Final = 16


def blind(ring: KeyRing, purpose: str, value: str) -> bytes:
    """The blind index (16 bytes) of `value`, normalised by the caller. `purpose` names the use, e.g. "members.phone"."""
    return hmac.digest(ring.derive("index", purpose), value.encode(), "sha256")[:INDEX_BYTES]
