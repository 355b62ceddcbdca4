"""Queries of the facts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import text

from shared.contracts.envelope import Received
from shared.contracts.events_service import REGISTRATIONS
from shared.contracts.membership import MEMBERS
from shared.contracts.welfare import CASES, DOSSIERS
from shared.database.session import ReadSession, WriteSession, as_columns, driver

#: Topics of aggregates that belong to one member each.
_ABOUT_A_MEMBER: Final = frozenset({CASES.name, REGISTRATIONS.name})

# The relay may send an event twice: the second time it is no new fact. `position` brings the answer back to its event.
_APPEND = """
    INSERT INTO facts (event_id, topic, type, source, subject, sequence, time, member_id, data)
    SELECT event_id, topic, type, source, subject, sequence, time, member_id, data::jsonb
    FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::bigint[], $7::timestamptz[], $8::uuid[], $9::text[])
        WITH ORDINALITY AS new (event_id, topic, type, source, subject, sequence, time, member_id, data, position)
    ORDER BY position
    ON CONFLICT (subject, sequence) DO NOTHING
    RETURNING subject, sequence
"""

_PLACES = """
    INSERT INTO member_places AS known (member_id, organisation_id, sequence)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS new (member_id, organisation_id, sequence)
    ORDER BY member_id
    ON CONFLICT (member_id) DO UPDATE SET organisation_id = excluded.organisation_id, sequence = excluded.sequence
    WHERE known.sequence < excluded.sequence
"""

_NOTE_ERASED = """
    UPDATE member_places known SET sequence = erased.sequence, erased = true
    FROM unnest($1::uuid[], $2::bigint[]) AS erased (member_id, sequence)
    WHERE known.member_id = erased.member_id AND known.sequence < erased.sequence
"""

_LINK_MEMBERS = """
    INSERT INTO fact_members (fact_id, member_id, time)
    SELECT fact.id, concerned.member_id, fact.time
    FROM unnest($1::uuid[], $2::bigint[], $3::uuid[]) AS concerned (subject, sequence, member_id)
    JOIN facts fact USING (subject, sequence)
    ON CONFLICT DO NOTHING
"""

# Two ranges of two indexes, each as long as the page.
_BEFORE = """
    AND (CAST(:before_time AS timestamptz) IS NULL
         OR (time, {id}) < (CAST(:before_time AS timestamptz), CAST(:before_id AS bigint)))
"""
_PAGE = text(f"""
    SELECT * FROM (
        SELECT id, event_id, type, sequence, time, data FROM facts
        WHERE member_id = :member_id AND topic = ANY(CAST(:topics AS text[])) {_BEFORE.format(id="id")}
        ORDER BY time DESC, id DESC LIMIT :limit
    ) own
    UNION ALL
    SELECT id, event_id, type, sequence, time, data FROM (
        SELECT fact_id FROM fact_members WHERE member_id = :member_id {_BEFORE.format(id="fact_id")}
        ORDER BY time DESC, fact_id DESC LIMIT :limit
    ) shared JOIN facts ON facts.id = shared.fact_id WHERE topic = ANY(CAST(:topics AS text[]))
    ORDER BY time DESC, id DESC LIMIT :limit
""")  # noqa: S608 - of the constant above

_AFTER = """
    SELECT id, event_id, topic, type, source, subject, sequence, time, data::text AS data FROM facts
    WHERE id > $1 ORDER BY id LIMIT $2
"""


class Fact(NamedTuple):
    """One line of a timeline."""

    id: int
    event_id: UUID
    type: str
    sequence: int
    time: datetime
    data: dict[str, Any] | None


async def append(session: WriteSession, events: Sequence[Received]) -> list[Received]:
    """Record what is new among `events`; returns it in the order given."""
    connection = await driver(session)
    rows = [
        (
            event.id,
            event.topic,
            event.type,
            event.source,
            event.subject,
            event.sequence,
            event.time,
            _member_of(event),
            _kept(event),
        )
        for event in events
    ]
    recorded = await connection.fetch(_APPEND, *as_columns(rows))
    new = list(events) if len(recorded) == len(events) else _among(recorded, events)
    await _link_members(session, [event for event in new if event.topic == DOSSIERS.name])
    return new


def _among(recorded: Sequence[Any], events: Sequence[Received]) -> list[Received]:
    unseen = {(row["subject"], row["sequence"]) for row in recorded}
    new = []
    for event in events:
        if (event.subject, event.sequence) in unseen:
            unseen.discard((event.subject, event.sequence))
            new.append(event)
    return new


def _member_of(event: Received) -> UUID | None:
    """The one member whom a fact is about."""
    if event.topic == MEMBERS.name:
        return event.subject
    if event.topic in _ABOUT_A_MEMBER and event.data:
        return UUID(event.data["state"]["member_id"])
    return None


def _kept(event: Received) -> str | None:
    """The data as it is kept: a member's account is for those who need to know who signs in, not for a history."""
    data = event.data
    if data is None:
        return None
    if event.topic == MEMBERS.name and data["state"].get("user"):
        data = data | {"state": {name: value for name, value in data["state"].items() if name != "user"}}
    return orjson.dumps(data).decode()


async def _link_members(session: WriteSession, dossiers: Sequence[Received]) -> None:
    links = [
        (event.subject, event.sequence, UUID(member_id))
        for event in dossiers
        if event.data
        for member_id in event.data["state"]["member_ids"]
    ]
    if links:
        connection = await driver(session)
        await connection.execute(_LINK_MEMBERS, *as_columns(links))


async def place_members(session: WriteSession, newest: Sequence[Received]) -> None:
    """Keep where each member is now. `newest` holds at most one event a member; an erased one stays where it was."""
    erased = [event for event in newest if event.topic == MEMBERS.name and event.data is None]
    if erased:
        connection = await driver(session)
        await connection.execute(
            _NOTE_ERASED, [event.subject for event in erased], [event.sequence for event in erased]
        )
    states = [(event, event.data["state"]) for event in newest if event.topic == MEMBERS.name and event.data]
    if states:
        connection = await driver(session)
        await connection.execute(
            _PLACES,
            [event.subject for event, _ in states],
            [UUID(state["organisation_id"]) for _, state in states],
            [event.sequence for event, _ in states],
        )


async def timeline_page(
    session: ReadSession,
    member_id: UUID,
    topics: Sequence[str],
    before: tuple[datetime, int] | None,
    limit: int,
) -> list[Fact]:
    """A member's facts on these topics, newest first, from before (time, id)."""
    rows = await session.execute(
        _PAGE,
        {
            "member_id": member_id,
            "topics": list(topics),
            "before_time": before[0] if before else None,
            "before_id": before[1] if before else None,
            "limit": limit,
        },
    )
    return [Fact(*row) for row in rows]


async def path_of_member(session: ReadSession, member_id: UUID) -> str | None:
    """The path of the unit the member belongs to now; None when unknown or out of scope."""
    found = await session.execute(
        text("""
            SELECT o.path FROM member_places p JOIN directory_organisations o ON o.id = p.organisation_id
            WHERE p.member_id = :member_id
        """),
        {"member_id": member_id},
    )
    path: str | None = found.scalar_one_or_none()
    return path


async def facts_after(session: WriteSession, fact_id: int, limit: int) -> list[tuple[int, Received]]:
    """Facts in the order of their commits, as events, for a rebuild."""
    connection = await driver(session)
    return [
        (
            row["id"],
            Received(
                topic=row["topic"],
                partition=0,
                offset=row["id"],
                id=row["event_id"],
                type=row["type"],
                source=row["source"],
                subject=row["subject"],
                sequence=row["sequence"],
                time=row["time"],
                data=None if row["data"] is None else orjson.loads(row["data"]),
            ),
        )
        for row in await connection.fetch(_AFTER, fact_id, limit)
    ]
