"""Applies organisation, post and member events to the replica: newest sequence wins, whatever the order of arrival."""

from collections.abc import Sequence
from functools import cache
from uuid import UUID

import orjson
from sqlalchemy import TextClause, text

from shared.contracts.envelope import Received
from shared.contracts.membership import MEMBERS, ORGANISATIONS, POSTS
from shared.database.session import WriteSession
from shared.messaging.consumer_apply import Handler
from shared.messaging.projection import newest_wins

TOPICS = (ORGANISATIONS, POSTS)
TOPICS_WITH_MEMBERS = (ORGANISATIONS, POSTS, MEMBERS)

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
    RETURNING o.id
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


# An erased member keeps the row, so that an older event coming late changes nothing; nothing of the person is left in it.
_UPSERT_MEMBERS = text("""
    INSERT INTO directory_members AS known (id, organisation_id, status, gender, birth_year, employment_form,
        joined_on, left_on, user_issuer, user_subject, sequence)
    SELECT member_id, organisation_id, status, gender, birth_year, employment_form, joined_on, left_on,
        "user"->>'issuer', "user"->>'subject', sequence
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS new (
        member_id uuid, organisation_id uuid, status text, gender text, birth_year smallint, employment_form text,
        joined_on date, left_on date, "user" jsonb, sequence bigint)
    ORDER BY member_id
    ON CONFLICT (id) DO UPDATE SET
        organisation_id = excluded.organisation_id, status = excluded.status, gender = excluded.gender,
        birth_year = excluded.birth_year, employment_form = excluded.employment_form, joined_on = excluded.joined_on,
        left_on = excluded.left_on, user_issuer = excluded.user_issuer, user_subject = excluded.user_subject,
        sequence = excluded.sequence
    WHERE known.sequence < excluded.sequence
""")

_ERASE_MEMBERS = text("""
    UPDATE directory_members known SET gender = 'unknown', birth_year = NULL, employment_form = 'other',
        user_issuer = NULL, user_subject = NULL, sequence = erased.sequence
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS erased (id uuid, sequence bigint)
    WHERE known.id = erased.id AND known.sequence < erased.sequence
""")


async def apply(session: WriteSession, events: Sequence[Received]) -> None:
    """Handler of the directory consumer (a state projection): one upsert per table and batch, paths set-based."""
    await apply_with(session, events, ())


def handler(moved_along: Sequence[str]) -> Handler:
    """The same for a service that has rows of its own in the tree: `moved_along` are its tables, each with the columns
    `organisation_id` and `path`, an owner before what is copied from it. They follow their units in the same transaction.
    """

    async def apply_along(session: WriteSession, events: Sequence[Received]) -> None:
        await apply_with(session, events, moved_along)

    return apply_along


async def apply_with(session: WriteSession, events: Sequence[Received], moved_along: Sequence[str]) -> None:
    """Apply a batch; see `handler`."""
    newest = newest_wins(events)
    organisations = [event for event in newest if event.topic == ORGANISATIONS.name]
    posts = [event for event in newest if event.topic == POSTS.name]
    members = [event for event in newest if event.topic == MEMBERS.name]
    if organisations:
        changed = await session.scalars(_UPSERT_ORGANISATIONS, {"rows": _rows(organisations)})
        moved = await rebuild_paths(session, list(changed))
        for table in moved_along if moved else ():
            await session.execute(_move_along(table), {"moved": moved})
    if posts:
        await session.execute(_UPSERT_POSTS, {"rows": _rows(posts)})
    if members:
        await _apply_members(session, members)


async def rebuild_paths(session: WriteSession, changed: list[UUID]) -> list[UUID]:
    """Compute anew the paths of the changed units and of all below them; gives those whose path is another now."""
    if not changed:
        return []
    return list(await session.scalars(_REBUILD_PATHS, {"changed": changed}))


async def _apply_members(session: WriteSession, events: Sequence[Received]) -> None:
    living = [event for event in events if event.data is not None]
    erased = [
        {"id": str(event.subject), "sequence": event.sequence} for event in events if event.data is None
    ]
    if living:
        await session.execute(_UPSERT_MEMBERS, {"rows": _rows(living)})
    if erased:
        await session.execute(_ERASE_MEMBERS, {"rows": orjson.dumps(erased).decode()})


@cache
def _move_along(table: str) -> TextClause:
    return text(f"""
        UPDATE {table} moved SET path = organisation.path FROM directory_organisations organisation
        WHERE organisation.id = ANY(:moved) AND organisation.path IS NOT NULL
          AND moved.organisation_id = organisation.id AND moved.path <> organisation.path
    """)  # noqa: S608 - a name from a composition root


def _rows(events: Sequence[Received]) -> str:
    """The public states with their sequences, as one JSON array for jsonb_to_recordset."""
    rows = [event.data["state"] | {"sequence": event.sequence} for event in events if event.data is not None]
    return orjson.dumps(rows).decode()
