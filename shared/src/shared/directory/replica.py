"""Applies organisation and post events to the directory replica: newest sequence wins, whatever the order of arrival."""

from collections.abc import Sequence
from uuid import UUID

import orjson
from sqlalchemy import text

from shared.contracts.envelope import Received
from shared.contracts.membership import ORGANISATIONS, POSTS
from shared.database.session import WriteSession
from shared.messaging.projection import newest_wins

TOPICS = (ORGANISATIONS, POSTS)

_UPSERT_ORGANISATIONS = text("""
    INSERT INTO directory_organisations AS known
        (id, number, code, name, kind, parent_id, founded_on, dissolved_on, sequence)
    SELECT organisation_id, number, code, name, kind, parent_id, founded_on, dissolved_on, sequence
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (
        organisation_id uuid, number bigint, code text, name text, kind text, parent_id uuid,
        founded_on date, dissolved_on date, sequence bigint)
    ORDER BY organisation_id
    ON CONFLICT (id) DO UPDATE SET
        number = excluded.number, code = excluded.code, name = excluded.name, kind = excluded.kind,
        parent_id = excluded.parent_id, founded_on = excluded.founded_on, dissolved_on = excluded.dissolved_on,
        sequence = excluded.sequence
    WHERE known.sequence < excluded.sequence
    RETURNING id
""")

# Walks down to everything below the changed units, then up to the root for each: a child may have come before its parent.
_REBUILD_PATHS = text("""
    WITH RECURSIVE below AS (
        SELECT id FROM directory_organisations WHERE id = ANY(:changed)
        UNION
        SELECT child.id FROM directory_organisations child JOIN below ON child.parent_id = below.id
    ), up AS (
        SELECT o.id, o.parent_id, to_hex(o.number) || '/' AS path, 1 AS depth
        FROM below JOIN directory_organisations o USING (id)
        UNION ALL
        SELECT up.id, o.parent_id, to_hex(o.number) || '/' || up.path, up.depth + 1
        FROM up JOIN directory_organisations o ON o.id = up.parent_id WHERE up.depth < 64
    ), found AS (
        SELECT below.id, up.path FROM below LEFT JOIN up ON up.id = below.id AND up.parent_id IS NULL
    )
    UPDATE directory_organisations o SET path = found.path
    FROM found WHERE o.id = found.id AND o.path IS DISTINCT FROM found.path
""")

_UPSERT_POSTS = text("""
    INSERT INTO directory_posts AS known (id, issuer, subject, role, organisation_id, starts_on, ends_on, sequence)
    SELECT post_id, issuer, subject, role, organisation_id, starts_on, ends_on, sequence
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (
        post_id uuid, issuer text, subject text, role text, organisation_id uuid,
        starts_on date, ends_on date, sequence bigint)
    ORDER BY post_id
    ON CONFLICT (id) DO UPDATE SET
        issuer = excluded.issuer, subject = excluded.subject, role = excluded.role,
        organisation_id = excluded.organisation_id, starts_on = excluded.starts_on, ends_on = excluded.ends_on,
        sequence = excluded.sequence, applied_at = excluded.applied_at
    WHERE known.sequence < excluded.sequence
""")


async def apply(session: WriteSession, events: Sequence[Received]) -> None:
    """Handler of the directory consumer (a state projection): one upsert per table and batch, paths set-based."""
    newest = newest_wins(events)
    organisations = [event for event in newest if event.topic == ORGANISATIONS.name]
    posts = [event for event in newest if event.topic == POSTS.name]
    if organisations:
        changed = await session.scalars(_UPSERT_ORGANISATIONS, {"rows": _rows(organisations)})
        await rebuild_paths(session, list(changed))
    if posts:
        await session.execute(_UPSERT_POSTS, {"rows": _rows(posts)})


async def rebuild_paths(session: WriteSession, changed: list[UUID]) -> None:
    """Compute anew the paths of the changed units and of all below them."""
    if changed:
        await session.execute(_REBUILD_PATHS, {"changed": changed})


def _rows(events: Sequence[Received]) -> str:
    """The public states with their sequences, as one JSON array for jsonb_to_recordset."""
    rows = [event.data["state"] | {"sequence": event.sequence} for event in events if event.data is not None]
    return orjson.dumps(rows).decode()
