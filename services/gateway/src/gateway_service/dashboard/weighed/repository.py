"""Queries of what is weighed. All are set-based: one statement a batch and table."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

import orjson
from sqlalchemy import text

from gateway_service.dashboard.weighed.domain import Weighed
from shared.contracts.envelope import Received
from shared.database.session import ReadSession, WriteSession, driver

#: A unit and a member who was helped there.
Person = tuple[UUID, UUID]

_WEIGHED = """
    SELECT id, topic, sequence, day, organisation_id, cells::text AS cells FROM dashboard_weighed
    WHERE slot = $1 AND id = ANY($2::uuid[])
"""

_STORE = """
    INSERT INTO dashboard_weighed (slot, id, topic, sequence, day, organisation_id, cells)
    SELECT $1, id, topic, sequence, day, organisation_id, cells::jsonb
    FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::date[], $6::uuid[], $7::text[])
        AS new (id, topic, sequence, day, organisation_id, cells)
    ORDER BY id
    ON CONFLICT (slot, id) DO UPDATE SET
        sequence = excluded.sequence, day = excluded.day, organisation_id = excluded.organisation_id, cells = excluded.cells
"""

_PAYMENTS = """
    SELECT organisation_id, member_id, days::text AS days FROM dashboard_people
    WHERE slot = $1 AND (organisation_id, member_id) IN (SELECT * FROM unnest($2::uuid[], $3::uuid[]))
"""

_STORE_PAYMENTS = """
    INSERT INTO dashboard_people (slot, organisation_id, member_id, days)
    SELECT $1, organisation_id, member_id, days::jsonb
    FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS new (organisation_id, member_id, days)
    ORDER BY organisation_id, member_id
    ON CONFLICT (slot, organisation_id, member_id) DO UPDATE SET days = excluded.days
"""

# What stands now is a range of its own index; from it is taken what came after the day, which today is nothing.
_STANDING_ON = text("""
    SELECT cell, count FROM (
        SELECT standing.cell, standing.count - coalesce((
            SELECT sum(later.count) FROM dashboard_totals later
            WHERE later.slot = :slot AND later.organisation_id = :organisation_id AND later.cell = standing.cell
              AND later.day > :on AND later.day < 'infinity'
        ), 0)::bigint AS count
        FROM dashboard_totals standing
        WHERE standing.slot = :slot AND standing.organisation_id = :organisation_id
          AND standing.cell >= :prefix AND standing.cell < :end AND standing.day = 'infinity'
    ) found
    WHERE count <> 0
""")

_NAMES = """
    INSERT INTO programme_names AS known (id, name, sequence)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS new (id, name, sequence) ORDER BY id
    ON CONFLICT (id) DO UPDATE SET name = excluded.name, sequence = excluded.sequence
    WHERE known.sequence < excluded.sequence
"""


async def weighed(session: WriteSession, slot: int, ids: list[UUID]) -> dict[UUID, Weighed]:
    """How these aggregates count so far."""
    connection = await driver(session)
    return {
        row["id"]: Weighed(**dict(row) | {"cells": orjson.loads(row["cells"])})
        for row in await connection.fetch(_WEIGHED, slot, ids)
    }


async def store(session: WriteSession, slot: int, rows: Sequence[Weighed]) -> None:
    """Store how these aggregates count now."""
    connection = await driver(session)
    await connection.execute(
        _STORE,
        slot,
        [row.id for row in rows],
        [row.topic for row in rows],
        [row.sequence for row in rows],
        [row.day for row in rows],
        [row.organisation_id for row in rows],
        [orjson.dumps(row.cells).decode() for row in rows],
    )


async def payments(
    session: WriteSession, slot: int, people: Sequence[Person]
) -> dict[Person, dict[date, int]]:
    """The payments to these people at these units, as change per day."""
    connection = await driver(session)
    rows = await connection.fetch(
        _PAYMENTS, slot, [unit for unit, _ in people], [member for _, member in people]
    )
    return {
        (row["organisation_id"], row["member_id"]): {
            date.fromisoformat(day): change for day, change in orjson.loads(row["days"]).items()
        }
        for row in rows
    }


async def store_payments(
    session: WriteSession, slot: int, found: Mapping[Person, Mapping[date, int]]
) -> None:
    """Store them."""
    connection = await driver(session)
    await connection.execute(
        _STORE_PAYMENTS,
        slot,
        [unit for unit, _ in found],
        [member for _, member in found],
        [
            orjson.dumps({day.isoformat(): change for day, change in days.items()}).decode()
            for days in found.values()
        ],
    )


async def standing_on(
    session: ReadSession, slot: int, organisation_id: UUID, prefix: str, on: date
) -> dict[str, int]:
    """The cells of a unit's subtree that begin with `prefix`, at the end of a day; empty cells are left out."""
    rows = await session.execute(
        _STANDING_ON,
        {
            "slot": slot,
            "organisation_id": organisation_id,
            "prefix": prefix,
            "end": f"{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}",
            "on": on,
        },
    )
    return {row[0].removeprefix(prefix): row[1] for row in rows}


async def name_programmes(session: WriteSession, newest: Sequence[Received]) -> None:
    """Keep the names of programmes. `newest` holds at most one event a programme."""
    connection = await driver(session)
    states = [(event, event.data["state"]) for event in newest if event.data]
    await connection.execute(
        _NAMES,
        [event.subject for event, _ in states],
        [state["name"] for _, state in states],
        [event.sequence for event, _ in states],
    )


async def names_of_programmes(session: ReadSession, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Names by id; a programme of which nothing was read yet is missing."""
    rows = await session.execute(
        text("SELECT id, name FROM programme_names WHERE id = ANY(:ids)"), {"ids": list(ids)}
    )
    return {row.id: row.name for row in rows}
