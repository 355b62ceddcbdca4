"""Every query of the rotation. Rows are replaced only as they were read: who changes meanwhile is under the current key."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from membership_service.index_rotation.tables import index_keys
from shared.database.session import ReadSession, WriteSession, as_columns, driver
from shared.security.keys import KeyRing

#: People after id $1, with what their blind indexes are made of.
_MEMBERS: Final = """
    SELECT id, document_type, document_sealed, phone_sealed, data_key_wrapped, key_version,
        document_blind, last4_blind, phone_blind
    FROM members WHERE id > $1 AND document_blind IS NOT NULL AND data_key_wrapped IS NOT NULL ORDER BY id LIMIT $2
"""
#: $1 ids, $2 documents as read, $3 documents, $4 last fours, $5 phones. A person who stands there twice, entered under either key
#: while processes were restarted, stays as he is. Gives the ids replaced.
_REPLACE_MEMBERS: Final = """
    UPDATE members m SET document_blind = new.document, last4_blind = new.last_four,
        phone_blind = CASE WHEN m.phone_sealed IS NOT DISTINCT FROM new.phone_sealed THEN new.phone ELSE m.phone_blind END
    FROM unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[])
        AS new (id, was, document, last_four, phone, phone_sealed)
    WHERE m.id = new.id AND m.document_blind = new.was
        AND NOT EXISTS (SELECT FROM members other WHERE other.document_blind = new.document AND other.id <> m.id)
    RETURNING m.id
"""
#: Staged rows after ($1, $2), with the keys of the row and of the member whose phone an undo would bring back.
_ROWS: Final = """
    SELECT r.import_id, r.row_number, r.member_id, r.document_type, r.document_sealed, r.phone_sealed, r.data_key_wrapped,
        r.key_version, r.document_blind, r.last4_blind, r.phone_blind, r.matched_id,
        decode(r.previous->>'phone_sealed', 'hex') AS previous_sealed, r.previous->>'phone_blind' AS previous_blind,
        m.data_key_wrapped AS member_key, m.key_version AS member_key_version
    FROM roster_rows r LEFT JOIN members m ON m.id = r.matched_id
    WHERE (r.import_id, r.row_number) > ($1, $2) AND r.document_blind IS NOT NULL
    ORDER BY r.import_id, r.row_number LIMIT $3
"""
_REPLACE_ROWS: Final = """
    UPDATE roster_rows r SET document_blind = new.document, last4_blind = new.last_four, phone_blind = new.phone,
        previous = CASE WHEN new.previous IS NULL THEN r.previous
            ELSE jsonb_set(r.previous, '{phone_blind}', to_jsonb(encode(new.previous, 'hex'))) END
    FROM unnest($1::uuid[], $2::int[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[])
        AS new (import_id, row_number, document, last_four, phone, previous)
    WHERE r.import_id = new.import_id AND r.row_number = new.row_number
"""


async def is_pending(session: ReadSession, ring: KeyRing) -> bool:
    """Whether something may still be indexed under another key than the current one."""
    if len(ring.names("index")) == 1:
        return False
    done = select(index_keys.c.key_id).where(index_keys.c.key_id == ring.current("index"))
    return await session.scalar(done) is None


async def complete(session: WriteSession, key_id: str, at: datetime) -> None:
    """Note that a pass found everything under this key, or brought it there."""
    done = insert(index_keys).values(key_id=key_id, completed_at=at)
    await session.execute(done.on_conflict_do_update(index_elements=["key_id"], set_={"completed_at": at}))


async def members_after(session: WriteSession, after: UUID, limit: int) -> list[asyncpg.Record]:
    """The next people, by id."""
    return list(await (await driver(session)).fetch(_MEMBERS, after, limit))


async def replace_members(session: WriteSession, changed: Sequence[tuple[Any, ...]]) -> list[UUID]:
    """Write new indexes: (id, document as read, document, last four, phone, sealed phone as read). The ids replaced."""
    rows = await (await driver(session)).fetch(_REPLACE_MEMBERS, *as_columns(changed))
    return [row["id"] for row in rows]


async def rows_after(
    session: WriteSession, import_id: UUID, row_number: int, limit: int
) -> list[asyncpg.Record]:
    """The next staged rows of rosters."""
    return list(await (await driver(session)).fetch(_ROWS, import_id, row_number, limit))


async def replace_rows(session: WriteSession, changed: Sequence[tuple[Any, ...]]) -> None:
    """Write new indexes: (import, row number, document, last four, phone, phone before or None)."""
    await (await driver(session)).execute(_REPLACE_ROWS, *as_columns(changed))
