"""Events that a consumer gave up, and those of the same key that wait behind them.

They belong to (consumer, event), lie in the consumer's database, and are written in the transaction that moves past them.
Redriving runs them through the same handler: the key's oldest first, then what was parked, until all is applied or one fails
again.
"""

import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import text

from shared.contracts.envelope import Headers
from shared.database.session import ReadSession, WriteSession, driver
from shared.kernel.ids import new_id
from shared.messaging.topics import dead_letter_topic
from shared.observability.logs import safe_message

DEAD = "dead"
PARKED = "parked"
REDRIVEN = "redriven"
CLOSED = "closed"
MIRROR_TYPE = "unionhall.messaging.dead-letter.v1"
_LONG_NUMBER = re.compile(r"\d{7,}[\dXx]?")
_CAUSE_LENGTH = 500

_INSERT = """
    INSERT INTO dead_letters
        (id, consumer, state, topic, partition, "offset", key, event_id, type, headers, value, cause, stack, tries)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12, $13, $14)
    ON CONFLICT (consumer, topic, partition, "offset") DO NOTHING
"""
_MIRROR = """
    INSERT INTO outbox (event_id, topic, key, type, sequence, source, payload)
    VALUES ($1, $2, $1, $3, 1, $4, $5)
"""
_OPEN_KEYS = """
    SELECT DISTINCT key FROM dead_letters WHERE consumer = $1 AND state IN ('dead', 'parked') AND key = ANY ($2::bytea[])
"""
_COLUMNS = 'id, consumer, state, topic, partition, "offset", key, event_id, type, cause, tries, created_at, redrive_requested_at'
_NEXT_OF_KEY = """
    SELECT id, topic, partition, "offset", key, headers::text, value, tries FROM dead_letters
    WHERE consumer = $1 AND key = $2 AND state IN ('dead', 'parked')
    ORDER BY topic, partition, "offset" LIMIT 1
"""
_CLOSE = """
    UPDATE dead_letters SET state = 'closed', redriven_at = $2, redrive_requested_at = NULL
    WHERE id = $1 AND state = 'dead' RETURNING id
"""
#: The oldest that waited behind a closed letter becomes the one that is tried; those after it follow as in any redrive.
_LET_GO = """
    WITH behind AS (
        SELECT id, state FROM dead_letters WHERE consumer = $1 AND key = $2 AND state IN ('dead', 'parked')
        ORDER BY topic, partition, "offset"
    ), next AS (
        UPDATE dead_letters SET state = 'dead', redrive_requested_at = $3
        WHERE id = (SELECT id FROM behind LIMIT 1) AND state = 'parked'
    )
    SELECT count(*) FROM behind WHERE state = 'parked'
"""
_BY_ID = """
    SELECT id, topic, partition, "offset", key, headers::text, value, tries FROM dead_letters
    WHERE id = $1 AND state = 'dead' FOR UPDATE
"""


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record as it came."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead or parked record with its row's id and how often it was tried."""

    id: UUID
    record: Record
    tries: int


@dataclass(frozen=True, slots=True)
class Cause:
    """Why: the error's kind and first line without long numbers, and where it came from (places in code, no values)."""

    text: str
    stack: list[str]


#: The cause of a parked letter.
BEHIND = Cause("waits behind a dead letter of the same key", [])


def cause_of(error: BaseException) -> Cause:
    """What may be kept of an error: its first line (PostgreSQL's DETAIL quotes rows) without quoted values and numbers."""
    kept = _LONG_NUMBER.sub("…", safe_message(error)[:_CAUSE_LENGTH])
    frames = traceback.extract_tb(error.__traceback__)
    return Cause(
        f"{type(error).__name__}: {kept}" if kept else type(error).__name__,
        [f"{frame.filename.rpartition('/src/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
    )


async def bury(
    connection: asyncpg.Connection,
    consumer: str,
    record: Record,
    cause: Cause,
    *,
    state: str,
    tries: int,
) -> None:
    """Write a dead (or parked) letter and, for a dead one, its mirror on Kafka: where it is and why, without its contents."""
    letter_id = new_id()
    found = dict(record.headers)
    event_id = _uuid(found.get("ce_id"))
    kind = found["ce_type"].decode(errors="replace") if "ce_type" in found else None
    # Latin-1 maps every byte to a character and back.
    headers = orjson.dumps([[name, value.decode("latin-1")] for name, value in record.headers]).decode()
    await connection.execute(
        _INSERT,
        letter_id,
        consumer,
        state,
        record.topic,
        record.partition,
        record.offset,
        record.key,
        event_id,
        kind,
        headers,
        record.value,
        cause.text,
        cause.stack,
        tries,
    )
    if state == DEAD:
        message = {
            "consumer": consumer,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "event_id": event_id,
            "type": kind,
            "cause": cause.text,
            "stack": cause.stack,
            "tries": tries,
        }
        topic = dead_letter_topic(consumer).name
        await connection.execute(_MIRROR, letter_id, topic, MIRROR_TYPE, consumer, orjson.dumps(message))


def _uuid(value: bytes | None) -> UUID | None:
    try:
        return None if value is None else UUID(value.decode())
    except ValueError:
        return None


async def open_keys(connection: asyncpg.Connection, consumer: str, keys: Sequence[bytes]) -> set[bytes]:
    """Which of `keys` have a dead or parked event; each is locked against a redrive until the transaction ends."""
    rows = await connection.fetch(_OPEN_KEYS, consumer, list(keys))
    if not rows:
        return set()
    for key in sorted(row["key"] for row in rows):
        await lock_key(connection, consumer, key)
    # A redrive may have finished a key in between.
    rows = await connection.fetch(_OPEN_KEYS, consumer, [row["key"] for row in rows])
    return {row["key"] for row in rows}


async def lock_key(connection: asyncpg.Connection, consumer: str, key: bytes) -> None:
    """Until the transaction ends nobody else parks or redrives events of this key."""
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1 || encode($2, 'hex'), 0))", consumer, key
    )


# What operators do


async def list_dead_letters(
    session: ReadSession, *, consumer: str | None = None, state: str = DEAD, limit: int = 100
) -> list[dict[str, Any]]:
    """Letters without their contents, oldest first."""
    rows = await session.execute(
        text(f"""
            SELECT {_COLUMNS} FROM dead_letters
            WHERE state = :state AND (CAST(:consumer AS text) IS NULL OR consumer = :consumer)
            ORDER BY created_at, "offset" LIMIT :limit
        """),  # noqa: S608 - a constant
        {"state": state, "consumer": consumer, "limit": limit},
    )
    return [_shown(dict(row)) for row in rows.mappings()]


async def show_dead_letter(session: ReadSession, letter_id: UUID) -> dict[str, Any] | None:
    """One letter with headers, contents (as text) and stack."""
    rows = await session.execute(
        text(f"SELECT {_COLUMNS}, headers, value, stack FROM dead_letters WHERE id = :id"),  # noqa: S608 - a constant
        {"id": letter_id},
    )
    row = rows.mappings().one_or_none()
    if row is None:
        return None
    shown = _shown(dict(row))
    value = shown["value"]
    return shown | {"value": None if value is None else value[:65_536].decode(errors="replace")}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    key = row["key"]
    return row | {"key": None if key is None else key.decode(errors="replace")}


async def redrive(
    session: WriteSession, *, ids: Sequence[UUID] | None = None, consumer: str | None = None, now: datetime
) -> list[UUID]:
    """Ask for another try of these letters, or of all dead ones of a consumer; which. The consumer does it within seconds."""
    rows = await session.execute(
        text("""
            UPDATE dead_letters SET redrive_requested_at = :now
            WHERE state = 'dead' AND (CAST(:ids AS uuid[]) IS NULL OR id = ANY (:ids))
              AND (CAST(:consumer AS text) IS NULL OR consumer = :consumer)
            RETURNING id
        """),
        {"now": now, "ids": None if ids is None else list(ids), "consumer": consumer},
    )
    return [row.id for row in rows]


async def close(session: WriteSession, letter_id: UUID, *, by: str, reason: str, now: datetime) -> int | None:
    """Give a dead letter up for good, with who and why in the audit; how many waited behind it and go on now.

    None if no such letter is dead.
    """
    connection = await driver(session)
    row = await connection.fetchrow("SELECT consumer, key FROM dead_letters WHERE id = $1", letter_id)
    if row is None:
        return None
    if row["key"] is not None:
        await lock_key(connection, row["consumer"], row["key"])
    if await connection.fetchval(_CLOSE, letter_id, now) is None:
        return None
    details = {"consumer": row["consumer"], "by": by, "reason": reason}
    session.audit("dead-letter.closed", "dead-letter", letter_id, details)
    behind: int = await connection.fetchval(_LET_GO, row["consumer"], row["key"], now)
    return behind


async def still_dead(session: ReadSession, ids: Sequence[UUID]) -> tuple[list[UUID], list[UUID]]:
    """Of letters whose redrive was asked for: those that wait for it, and those that failed again."""
    rows = await session.execute(
        text("SELECT id, redrive_requested_at FROM dead_letters WHERE state = 'dead' AND id = ANY (:ids)"),
        {"ids": list(ids)},
    )
    dead = rows.all()
    waiting = [row.id for row in dead if row.redrive_requested_at is not None]
    return waiting, [row.id for row in dead if row.redrive_requested_at is None]


# What the consumer does with it


async def requested(connection: asyncpg.Connection, consumer: str) -> list[UUID]:
    """Letters that somebody wants redriven, oldest first."""
    rows = await connection.fetch(
        "SELECT id FROM dead_letters WHERE consumer = $1 AND state = 'dead' AND redrive_requested_at IS NOT NULL"
        ' ORDER BY created_at, "offset" LIMIT 1000',
        consumer,
    )
    return [row["id"] for row in rows]


async def by_id(connection: asyncpg.Connection, letter_id: UUID) -> Letter | None:
    """A dead letter, its row locked."""
    return _letter(await connection.fetchrow(_BY_ID, letter_id))


async def next_of_key(connection: asyncpg.Connection, consumer: str, key: bytes) -> Letter | None:
    """The oldest dead or parked letter of a key; hold `lock_key` first."""
    return _letter(await connection.fetchrow(_NEXT_OF_KEY, consumer, key))


async def settle(connection: asyncpg.Connection, letter: Letter, now: datetime) -> None:
    """It is applied after all."""
    await connection.execute(
        "UPDATE dead_letters SET state = 'redriven', redriven_at = $2, redrive_requested_at = NULL WHERE id = $1",
        letter.id,
        now,
    )


async def fail_again(connection: asyncpg.Connection, letter: Letter, cause: Cause) -> None:
    """It failed once more (or, parked until now, for the first time): it is dead until somebody asks again."""
    await connection.execute(
        "UPDATE dead_letters SET state = 'dead', cause = $2, stack = $3, tries = tries + 1, redrive_requested_at = NULL"
        " WHERE id = $1",
        letter.id,
        cause.text,
        cause.stack,
    )


def _letter(row: asyncpg.Record | None) -> Letter | None:
    if row is None:
        return None
    headers = [(name, value.encode("latin-1")) for name, value in orjson.loads(row["headers"])]
    record = Record(row["topic"], row["partition"], row["offset"], row["key"], row["value"], headers)
    return Letter(row["id"], record, row["tries"])
