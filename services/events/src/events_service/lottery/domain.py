"""A lottery by commit and reveal. Pure: no IO.

Before anybody can enter, a random seed is made and kept sealed; its SHA-256, the commitment, is public. When entering is over,
the key of the draw is SHA-256(seed, digest of the entries), where the digest is SHA-256 of all registration ids (16 bytes each)
in ascending order: nobody could know it before, and nobody can choose it after. The entries are ordered by SHA-256(key, id);
in each pool the first as many as there are seats have one, the others wait in that order. With the draw the seed is public,
and anybody can do all of this again (`unionhall lottery verify`).
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from shared.kernel.errors import Conflict
from shared.security.acting import By

SEED_BYTES: Final = 32
#: Entries in one block of the record of a draw.
BLOCK: Final = 10_000
_ENTRY: Final = struct.Struct(">16sh?i")


class Entry(NamedTuple):
    """What became of one entry. `pool` is the quota it drew from, 0 for all others; `rank` and `position` count from 1, over all
    entries and within the pool.
    """

    registration_id: UUID
    pool: int
    rank: int
    position: int
    is_confirmed: bool


@dataclass(eq=False, kw_only=True)
class Lottery:
    """The draw of one activity. `seats` is by pool, as they were when it was drawn."""

    activity_id: UUID
    commitment: bytes
    committed_at: datetime
    seed_wrapped: bytes | None
    seed: bytes | None = None
    entries: int | None = None
    entries_digest: bytes | None = None
    seats: list[int] | None = None
    drawn_at: datetime | None = None
    drawn_by_issuer: str | None = None
    drawn_by_subject: str | None = None

    def must_wait(self) -> None:
        """Raises Conflict when the lots are drawn already: never twice."""
        if self.drawn_at is not None:
            raise Conflict("lottery-drawn")

    def reveal(self, seed: bytes, entries: int, digest: bytes, seats: list[int], by: By) -> bytes:
        """Make the seed public; gives the key of the draw. Raises ValueError for another seed than was committed to."""
        self.must_wait()
        if commitment_of(seed) != self.commitment:
            raise ValueError(f"the seed of the lottery of {self.activity_id} is not the one committed to")
        self.seed, self.seed_wrapped = seed, None
        self.entries, self.entries_digest, self.seats = entries, digest, seats
        self.drawn_at, self.drawn_by_issuer, self.drawn_by_subject = by.at, by.issuer, by.subject
        return draw_key(seed, digest)


def commitment_of(seed: bytes) -> bytes:
    """What is public of a seed before the draw."""
    return hashlib.sha256(seed).digest()


def draw_key(seed: bytes, entries_digest: bytes) -> bytes:
    """The key by which the entries are ordered."""
    return hashlib.sha256(seed + entries_digest).digest()


def digest_of(registration_ids: Iterable[UUID]) -> bytes:
    """The digest of the entries, in whatever order they come."""
    return hashlib.sha256(b"".join(sorted(one.bytes for one in registration_ids))).digest()


def draw(key: bytes, pools: dict[UUID, int], seats: list[int]) -> list[Entry]:
    """The draw in plain words; `repository.record` does the same in SQL, and a test compares the two.

    `pools` is the pool of each entry.
    """
    order = sorted(pools, key=lambda one: hashlib.sha256(key + one.bytes).digest())
    positions = [0] * len(seats)
    drawn = []
    for rank, one in enumerate(order, 1):
        pool = pools[one]
        positions[pool] += 1
        drawn.append(Entry(one, pool, rank, positions[pool], positions[pool] <= seats[pool]))
    return drawn


def unpacked(number: int, block: bytes) -> Iterator[Entry]:
    """The entries of block `number` of a record, in order."""
    for place, (registration_id, pool, is_confirmed, position) in enumerate(_ENTRY.iter_unpack(block), 1):
        yield Entry(UUID(bytes=registration_id), pool, number * BLOCK + place, position, is_confirmed)
