"""Links audit entries into a chain and checks it: changed, dropped, inserted, reordered and cut off entries are found.

Only one chainer links at a time (an advisory lock of its transaction). Entries become visible out of order, so it takes what
is visible and not yet linked; `linked_below` of the newest link bounds how far back it has to look.
"""

import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.observability.metrics import AUDIT_LINKED_AT
from shared.security.keys import KeyRing, SealBroken

log = logging.getLogger(__name__)

#: The job's kind and how often it runs: an entry is linked within five seconds.
CHAIN_JOB: Final = "audit.chain"
CHAIN_EVERY: Final = timedelta(seconds=3)
#: Links made in one transaction.
BATCH: Final = 1000
_LOCK: Final = 0x61756469
_START: Final = bytes(32)

_COLUMNS: Final = (
    "e.id, e.at, e.actor_issuer, e.actor_subject, e.request_id,"
    " e.action, e.subject_kind, e.subject_id, e.path, e.details"
)
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
_HEAD = text("SELECT position, hash, linked_below, linked_at FROM audit_chain ORDER BY position DESC LIMIT 1")
# After a logical restore transaction ids begin anew: a bound that lies ahead of them bounds nothing.
_BOUNDS = text("""
    SELECT pg_snapshot_xmin(now) AS xmin,
           CASE WHEN CAST(:linked_below AS xid8) <= pg_snapshot_xmax(now) THEN CAST(:linked_below AS xid8) ELSE '0' END AS floor
    FROM pg_current_snapshot() AS now
""")
_UNLINKED = text(f"""
    SELECT {_COLUMNS} FROM audit_entries e
    WHERE e.xid >= CAST(:floor AS xid8) AND NOT EXISTS (SELECT FROM audit_chain c WHERE c.entry_id = e.id)
    ORDER BY e.id LIMIT :limit
""")  # noqa: S608 - made of constants
_INSERT = text("""
    INSERT INTO audit_chain (position, entry_id, hash, key_id, linked_below)
    VALUES (:position, :entry_id, :hash, :key_id, CAST(:linked_below AS xid8))
""")
_LINKS = text(f"""
    SELECT c.position, c.entry_id, c.hash, c.key_id, {_COLUMNS}
    FROM audit_chain c LEFT JOIN audit_entries e ON e.id = c.entry_id ORDER BY c.position
""")  # noqa: S608 - made of constants
_TAIL = text("""
    SELECT count(*) AS entries, min(e.at) AS oldest FROM audit_entries e
    WHERE NOT EXISTS (SELECT FROM audit_chain c WHERE c.entry_id = e.id)
""")


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest link. Kept outside of the database, it proves later that nothing before it was cut off or written anew."""

    position: int
    hash: bytes

    def exported(self) -> dict[str, str | int]:
        """As JSON: position and hash in hexadecimal."""
        return {"position": self.position, "hash": self.hash.hex()}

    @classmethod
    def imported(cls, exported: dict[str, Any]) -> "ChainHead":
        """Read what `exported` gave."""
        return cls(int(exported["position"]), bytes.fromhex(exported["hash"]))


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check found. `first_broken` is a position, `reason` one of the words below; `tail` counts entries not yet linked.

    link-missing, entry-missing, entry-changed, key-missing, head-differs, cut-off.
    """

    links: int
    head: ChainHead | None
    first_broken: int | None
    reason: str | None
    tail: int
    oldest_in_tail: datetime | None

    @property
    def valid(self) -> bool:
        """Whether nothing is broken; a tail older than a few seconds means that the chainer does not run."""
        return self.first_broken is None


class ChunkedJob(Protocol):
    """What a run of the chainer needs of `shared.jobs`: transactions that it commits."""

    def chunk(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A transaction, committed at the end of the block."""
        ...


def chain_handler(ring: KeyRing) -> Callable[[ChunkedJob], Awaitable[None]]:
    """The handler of CHAIN_JOB: links all there is."""

    async def link_all(job: ChunkedJob) -> None:
        linked = BATCH
        while linked == BATCH:
            async with job.chunk() as session:
                linked = await link_batch(session, ring)
                head = await chain_head(session) if linked else None
            if head:
                # Logs go elsewhere, so they are a witness that the database's owner cannot rewrite.
                log.info("audit head", extra=head.exported())
        AUDIT_LINKED_AT.set_to_current_time()

    return link_all


async def link_batch(session: AsyncSession, ring: KeyRing, limit: int = BATCH) -> int:
    """Link up to `limit` committed entries in the session's transaction; 0 when there are none or another chainer is at it."""
    if not await session.scalar(_TRY_LOCK, {"lock": _LOCK}):
        return 0
    head = (await session.execute(_HEAD)).one_or_none()
    bounds = (await session.execute(_BOUNDS, {"linked_below": head.linked_below if head else 0})).one()
    entries = (await session.execute(_UNLINKED, {"floor": bounds.floor, "limit": limit})).all()
    if not entries:
        return 0
    key_id = ring.current("audit")
    position, previous = (head.position, bytes(head.hash)) if head else (0, _START)
    links = []
    for entry in entries:
        position += 1
        previous = _link_hash(ring, key_id, previous, position, entry)
        links.append(
            {
                "position": position,
                "entry_id": entry.id,
                "hash": previous,
                "key_id": key_id,
                # With a full batch there may be more below the snapshot's xmin: look as far back again.
                "linked_below": bounds.xmin if len(entries) < limit else bounds.floor,
            }
        )
    await session.execute(_INSERT, links)
    return len(links)


async def chain_head(session: AsyncSession) -> ChainHead | None:
    """The newest link; None of an empty chain."""
    head = (await session.execute(_HEAD)).one_or_none()
    return ChainHead(head.position, bytes(head.hash)) if head else None


async def verify_chain(
    session: AsyncSession, ring: KeyRing, anchors: Sequence[ChainHead] = ()
) -> ChainReport:
    """Check every link, and the heads that were kept elsewhere (`anchors`). Needs a session that sees all entries.

    Reads the whole chain once, in constant memory.
    """
    expected = {anchor.position: anchor.hash for anchor in anchors}
    head, broken = ChainHead(0, _START), None
    async for link in _stream(session):
        reason = _fault(ring, head, link, expected)
        if reason:
            broken = (head.position + 1 if reason == "link-missing" else link.position, reason)
            break
        head = ChainHead(link.position, bytes(link.hash))
    if broken is None and max(expected, default=0) > head.position:
        broken = (head.position + 1, "cut-off")
    tail = (await session.execute(_TAIL)).one()
    return ChainReport(
        links=head.position,
        head=head if head.position else None,
        first_broken=broken[0] if broken else None,
        reason=broken[1] if broken else None,
        tail=tail.entries,
        oldest_in_tail=tail.oldest,
    )


async def _stream(session: AsyncSession) -> AsyncIterator[Row[Any]]:
    result = await session.stream(_LINKS)
    try:
        async for row in result:
            yield row
    finally:
        await result.close()


def _fault(ring: KeyRing, head: ChainHead, link: Row[Any], expected: dict[int, bytes]) -> str | None:
    if link.position != head.position + 1:
        return "link-missing"
    if link.id is None:
        return "entry-missing"
    try:
        hash_ = _link_hash(ring, link.key_id, head.hash, link.position, link)
    except SealBroken:
        return "key-missing"
    if not hmac.compare_digest(hash_, bytes(link.hash)):
        return "entry-changed"
    if expected.get(link.position, hash_) != hash_:
        return "head-differs"
    return None


def _link_hash(ring: KeyRing, key_id: str, previous: bytes, position: int, entry: Row[Any]) -> bytes:
    content = [
        entry.id,
        entry.at.astimezone(UTC).isoformat(),
        entry.actor_issuer,
        entry.actor_subject,
        entry.request_id,
        entry.action,
        entry.subject_kind,
        str(entry.subject_id),
        entry.path,
        entry.details,
    ]
    message = previous + position.to_bytes(8, "big") + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    return hmac.digest(ring.derive("audit", "chain", key_id), message, "sha256")
