"""/internal/v1/digest: what an owner and its replicas hold, as hashes that `unionhall verify` compares.

Services may not read each other's database, and a sent outbox is truncated: comparing hashes over (id, version) at equal offsets
is how a lost event is found. The answer covers what the caller's posts show; compare as an administrator of the root.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel
from sqlalchemy import text

from shared.kernel.errors import NotFound
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.routing import api_router
from shared.web.session import Read

#: One statement, so one snapshot: hashes and offsets belong together.
_HASHES = """
    WITH hashed AS (
        SELECT get_byte(uuid_send(id), 15) AS bucket, count(*) AS held,
            to_hex(bit_xor(hashtextextended(id::text || ':' || version::text, 0))) AS hash
        FROM ({rows}) AS aggregate GROUP BY 1
    )
    SELECT coalesce(sum(held), 0)::bigint AS held, coalesce(jsonb_object_agg(bucket, hash), '{{}}') AS buckets,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('topic', topic, 'partition', partition, 'next_offset', next_offset)), '[]')
         FROM consumer_offsets WHERE consumer = CAST(:consumer AS text)) AS offsets
    FROM hashed
"""


@dataclass(frozen=True, slots=True)
class Digested:
    """One kind of aggregate as this service holds it.

    `rows` is a SELECT with columns id (uuid) and version (bigint); `consumer` feeds it, if it is a replica.
    """

    rows: str
    consumer: str | None = None


def owned(*tables: str) -> dict[str, Digested]:
    """The aggregates that a service owns and tells others about, by their tables (constants, with `id` and `version`)."""
    return {table: Digested(f"SELECT id, version FROM {table}") for table in tables}  # noqa: S608 - constants


def replicated(consumer: str, *kinds: str) -> dict[str, Digested]:
    """Others' aggregates in the directory that `consumer` feeds: "organisations", "posts", "members"."""
    return {
        kind: Digested(f"SELECT id, sequence AS version FROM directory_{kind}", consumer)  # noqa: S608 - constants
        for kind in kinds
    }


class Position(BaseModel):
    """How far a replica has read one partition."""

    topic: str
    partition: int
    next_offset: int


class Digest(BaseModel):
    """Hashes by bucket: the last byte of the id, 0 to 255. Equal rows have equal hashes; the order does not matter."""

    kind: str
    count: int
    buckets: dict[int, str]
    offsets: list[Position] = []


def digest_router(kinds: Mapping[str, Digested]) -> APIRouter:
    """Routes over `kinds`, e.g. {"members": Digested("SELECT id, version FROM members")}; not routed by the gateway."""
    router = api_router("/internal/v1/digest", "internal")

    def chosen(kind: str) -> Digested:
        if kind not in kinds:
            raise NotFound("not-found")
        return kinds[kind]

    @router.get("/{kind}")
    async def digest(kind: str, session: Read, caller: CurrentCaller) -> Digest:
        """The hashes of one kind, with the position of its consumer in the same snapshot."""
        caller.require_somewhere(Action.OPERATIONS_READ)
        digested = chosen(kind)
        query = text(_HASHES.format(rows=digested.rows))
        row = (await session.execute(query, {"consumer": digested.consumer})).one()
        return Digest(kind=kind, count=row.held, buckets=row.buckets, offsets=row.offsets)

    @router.get("/{kind}/{bucket}")
    async def bucket_rows(
        kind: str, bucket: Annotated[int, Path(ge=0, le=255)], session: Read, caller: CurrentCaller
    ) -> dict[UUID, int]:
        """Ids and versions of one bucket, to name what differs."""
        caller.require_somewhere(Action.OPERATIONS_READ)
        rows = text(f"""
            SELECT id, version FROM ({chosen(kind).rows}) AS aggregate WHERE get_byte(uuid_send(id), 15) = :bucket
        """)  # noqa: S608 - the service's own constant
        return {row.id: row.version for row in await session.execute(rows, {"bucket": bucket})}

    return router
