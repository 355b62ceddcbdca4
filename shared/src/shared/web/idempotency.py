"""Idempotency-Key: the same request sent twice has one effect and one answer.

A key belongs to one user, one route and one body. It is claimed by an advisory lock of the transaction, the sealed reply is
stored in that transaction, so effect and reply become true together. Refusals are not stored: they are judged anew.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, Header, Request, Response
from sqlalchemy import text
from starlette.types import Scope as AsgiScope

from shared.database.session import ReadSession, WriteSession
from shared.jobs import JobContext, JobHandler
from shared.kernel.clock import Clock
from shared.kernel.errors import BadRequest, Conflict, Invalid
from shared.security.keys import KeyRing, SealBroken
from shared.security.policy import Caller
from shared.web.body import StrictRequest
from shared.web.caller import CurrentCaller
from shared.web.session import Write

#: A key is remembered so long; a later repetition would act again.
KEPT_FOR: Final = timedelta(days=7)
FORGET_KEYS: Final = "idempotency.forget"
FORGET_KEYS_EVERY: Final = timedelta(hours=1)
REPLAYED_HEADER: Final = "Idempotency-Replayed"
CLAIM: Final = "unionhall.idempotency_claim"
COLUMNS: Final = "subject_hash, route, key, body_hash, status, reply_sealed, created_at"
_KEY: Final = re.compile(r"[A-Za-z0-9._:-]{8,128}")
_MAX_ROUTE: Final = 512

_LOCK: Final = text("SELECT pg_try_advisory_xact_lock(:number)")
_FIND: Final = text("""
    SELECT body_hash, status, reply_sealed FROM idempotency_keys
    WHERE subject_hash = :subject AND route = :route AND key = :key
""")
_KEEP: Final = text(f"""
    INSERT INTO idempotency_keys ({COLUMNS})
    VALUES (:subject, :route, :key, :body, :status, :reply, :created)
""")  # noqa: S608 - COLUMNS is a constant
#: Of a busy week there may be millions; the newest are those that are asked for again.
_NEWEST: Final = text("""
    SELECT subject_hash, route, key, reply_sealed FROM idempotency_keys ORDER BY created_at DESC LIMIT 20000
""")
_FORGET: Final = text("DELETE FROM idempotency_keys WHERE created_at < :before")


class Replay(Exception):
    """Not an error: this request was done before, here is its reply. Raised, so that the transaction rolls back."""

    def __init__(self, response: Response) -> None:
        """The stored reply."""
        super().__init__("replay")
        self.response = response


@dataclass(frozen=True, slots=True)
class Claim:
    """A key as one user sent it with one request."""

    ring: KeyRing
    subject: bytes
    route: str
    key: str
    body: bytes
    now: datetime

    @property
    def lock(self) -> int:
        """The number of the advisory lock: 64 bits, signed."""
        digest = hashlib.sha256(b"\0".join((self.subject, self.route.encode(), self.key.encode()))).digest()
        return int.from_bytes(digest[:8], "big", signed=True)

    def stored(self, response: Response) -> tuple[Any, ...]:
        """The row to keep for `response`: the values of `COLUMNS`."""
        sealed = self.sealed(response)
        return self.subject, self.route, self.key, self.body, response.status_code, sealed, self.now

    def sealed(self, response: Response) -> bytes:
        """The reply as it is kept."""
        headers = [
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, value in response.raw_headers
            if name != b"content-length"
        ]
        reply = orjson.dumps({"headers": headers, "body": bytes(response.body).decode()})
        return self.ring.seal("cursor", reply, context=self._context())

    async def replay(self, session: ReadSession | WriteSession) -> None:
        """Raise Replay if this was done before, Invalid if the key was used for another body; else return."""
        parameters = {"subject": self.subject, "route": self.route, "key": self.key}
        row = (await session.execute(_FIND, parameters)).one_or_none()
        if row is None:
            return
        if row.body_hash != self.body:
            raise Invalid("idempotency-key-reused")
        reply = orjson.loads(self.ring.unseal("cursor", row.reply_sealed, context=self._context()))
        response = Response(reply["body"], row.status)
        response.raw_headers.extend((name.encode(), value.encode()) for name, value in reply["headers"])
        response.headers[REPLAYED_HEADER] = "true"
        raise Replay(response)

    async def hold(self, session: WriteSession) -> None:
        """Claim the key for this transaction. Raises Conflict while a twin is running, and as `replay`."""
        if not (await session.execute(_LOCK, {"number": self.lock})).scalar_one():
            raise Conflict("request-still-running", retry_after=1)
        await self.replay(session)

    async def keep(self, session: WriteSession, response: Response) -> None:
        """Store the reply in the transaction that makes it true."""
        names: Sequence[str] = ("subject", "route", "key", "body", "status", "reply", "created")
        await session.execute(_KEEP, dict(zip(names, self.stored(response), strict=True)))

    def _context(self) -> bytes:
        return _context(self.subject, self.key)


def _context(subject: bytes, key: str) -> bytes:
    """What a stored reply is bound to: it cannot be given to another user or for another key."""
    return b"reply|" + subject + key.encode()


KeyHeader = Annotated[
    str | None, Header(description="8 to 128 of A-Z a-z 0-9 . _ : -, fresh for each command")
]


async def claim_of(request: Request, caller: Caller, key: str | None) -> Claim:
    """What the request claims; nothing is locked or looked up yet. Raises BadRequest without a good key."""
    if key is None:
        raise BadRequest("idempotency-key-missing")
    if not _KEY.fullmatch(key):
        raise BadRequest("idempotency-key-malformed")
    route = f"{request.method} {request.url.path}"
    if len(route) > _MAX_ROUTE:
        raise BadRequest("request-malformed")
    if not isinstance(request, StrictRequest):
        raise TypeError(f"{route} must be a route of shared.web.routing.api_router")
    subject = hashlib.sha256(f"{caller.issuer}\0{caller.subject}".encode()).digest()
    state = request.app.state
    return Claim(state.keys, subject, route, key, await request.fingerprint(), state.clock.now())


async def claim_key(
    request: Request, caller: CurrentCaller, session: Write, idempotency_key: KeyHeader = None
) -> str:
    """Claim the key for this transaction. 409 while a twin is running; a done twin's reply is sent again."""
    claim = await claim_of(request, caller, idempotency_key)
    if not (await session.execute(_LOCK, {"number": claim.lock})).scalar_one():
        raise Conflict("request-still-running", retry_after=1)
    await claim.replay(session)
    request.scope[CLAIM] = (claim, session)
    return claim.key


#: On every POST that creates or pays: the key, claimed. The reply is stored by the route class.
Idempotent = Annotated[str, Depends(claim_key, scope="function")]


async def keep_reply(scope: AsgiScope, response: Response) -> None:
    """Store the reply in the request's transaction, if the request claimed a key and succeeded."""
    claimed: tuple[Claim, WriteSession] | None = scope.get(CLAIM)
    if claimed is None or not 200 <= response.status_code < 300:
        return
    claim, session = claimed
    await claim.keep(session, response)


def forget_handler(clock: Clock) -> JobHandler:
    """The job that every worker runs: deletes the keys that are older than a week."""

    async def forget(job: JobContext) -> None:
        async with job.chunk() as session:
            await forget_old_keys(session, clock.now())

    return forget


async def forget_old_keys(session: WriteSession, now: datetime) -> None:
    """Delete the keys that are older than a week."""
    await session.execute(_FORGET, {"before": now - KEPT_FOR})


async def unreadable_replies(session: ReadSession, ring: KeyRing, limit: int) -> list[str]:
    """Invariant I9: keys ("route key") of stored replies that could not be given again as they were; at most `limit`."""
    broken: list[str] = []
    for row in await session.execute(_NEWEST):
        try:
            orjson.loads(ring.unseal("cursor", row.reply_sealed, context=_context(row.subject_hash, row.key)))
        except (SealBroken, orjson.JSONDecodeError):
            broken.append(f"{row.route} {row.key}")
        if len(broken) == limit:
            break
    return broken
