"""Queries of the dashboard view. All are set-based: one statement a batch and table, whatever the number of members."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from gateway_service.dashboard.domain import FLOWS, Counted, Difference, stock_cells
from gateway_service.dashboard.tables import SLOTTED
from shared.database.session import ReadSession, WriteSession, as_columns, driver

_COUNTED = """
    SELECT member_id, sequence, day, organisation_id, status, gender, birth_year, employment_form
    FROM dashboard_members WHERE slot = $1 AND member_id = ANY($2::uuid[])
"""

_COUNT_MEMBERS = """
    INSERT INTO dashboard_members
        (slot, member_id, sequence, day, organisation_id, status, gender, birth_year, employment_form)
    SELECT $1, * FROM unnest(
        $2::uuid[], $3::bigint[], $4::date[], $5::uuid[], $6::text[], $7::text[], $8::int[], $9::text[])
        AS new (member_id, sequence, day, organisation_id, status, gender, birth_year, employment_form)
    ORDER BY member_id
    ON CONFLICT (slot, member_id) DO UPDATE SET
        sequence = excluded.sequence, day = excluded.day, organisation_id = excluded.organisation_id, status = excluded.status,
        gender = excluded.gender, birth_year = excluded.birth_year, employment_form = excluded.employment_form
"""

# own × link → differences of the ancestors' totals. Of a stock, a link brings all that was there when it began and each later
# change, and takes all away when it ends; of a flow, what happened while it held.
_PRODUCT = """
    , product AS (
        SELECT link.ancestor_id, own.cell, greatest(own.day, lower(link.during)) AS day, own.change * link.sign AS change
        FROM own JOIN link USING (organisation_id)
        WHERE own.cell <> ALL($1::text[]) AND (upper_inf(link.during) OR own.day < upper(link.during))
        UNION ALL
        SELECT link.ancestor_id, own.cell, upper(link.during), -own.change * link.sign
        FROM own JOIN link USING (organisation_id)
        WHERE own.cell <> ALL($1::text[]) AND NOT upper_inf(link.during) AND own.day < upper(link.during)
        UNION ALL
        SELECT link.ancestor_id, own.cell, own.day, own.change * link.sign
        FROM own JOIN link USING (organisation_id)
        WHERE own.cell = ANY($1::text[]) AND own.day <@ link.during
    )
    , new AS (
        SELECT ancestor_id AS organisation_id, cell, day, sum(change)::bigint AS change FROM product
        GROUP BY ancestor_id, cell, day HAVING sum(change) <> 0
    )
"""

# Every day holds what changed on it. Of a stock, the day "infinity" holds what stands after all changes: a change costs two
# rows however long ago it happened, and a reader starts from the end.
_ADD_TOTALS = """
    INSERT INTO dashboard_totals AS known (slot, organisation_id, cell, day, count)
    SELECT $2, * FROM (
        SELECT organisation_id, cell, day, change FROM new
        UNION ALL
        SELECT organisation_id, cell, 'infinity', sum(change) FROM new WHERE cell <> ALL($1::text[])
        GROUP BY organisation_id, cell
    ) rows (organisation_id, cell, day, change)
    ORDER BY organisation_id, cell, day
    ON CONFLICT (slot, organisation_id, cell, day) DO UPDATE SET count = known.count + excluded.count
"""

# One statement: taking the product to this program and back would cost as much as all the rest of a batch.
_ADD_OWN = f"""
    WITH own AS MATERIALIZED (
        SELECT * FROM unnest($3::uuid[], $4::text[], $5::date[], $6::bigint[]) AS new (organisation_id, cell, day, change)
    ), kept AS (
        INSERT INTO dashboard_own AS known (slot, organisation_id, cell, day, change)
        SELECT $2, * FROM own
        ORDER BY organisation_id, cell, day
        ON CONFLICT (slot, organisation_id, cell, day) DO UPDATE SET change = known.change + excluded.change
    ), link AS (
        SELECT organisation_id, ancestor_id, during, 1 AS sign FROM dashboard_ancestry
        WHERE slot = $2 AND organisation_id IN (SELECT DISTINCT unnest($3::uuid[]))
    )
    {_PRODUCT} {_ADD_TOTALS}
"""  # noqa: S608 - the pieces are constants of this module

_SHIFT_BY_LINKS = f"""
    WITH link AS (
        SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::daterange[], $6::int[])
            AS new (organisation_id, ancestor_id, during, sign)
    ), own AS (
        SELECT organisation_id, cell, day, change FROM dashboard_own
        WHERE slot = $2 AND organisation_id IN (SELECT DISTINCT unnest($3::uuid[]))
    )
    {_PRODUCT} {_ADD_TOTALS}
"""  # noqa: S608 - the pieces are constants of this module

# From when to when each parent holds: a later claim cancels the earlier ones that start on or after its day; the first
# parent counts from the beginning of time, so that nothing that happened "before" is lost.
_REPLACE_TREE = """
    WITH gone AS (DELETE FROM dashboard_tree WHERE slot = $1 AND organisation_id = ANY($2::uuid[])),
    claim AS (
        SELECT subject, sequence, (data->'state'->>'parent_since')::date AS since,
            (data->'state'->>'parent_id')::uuid AS parent_id
        FROM facts WHERE subject = ANY($2::uuid[]) AND data IS NOT NULL
    ), kept AS (
        SELECT * FROM claim WHERE NOT EXISTS (
            SELECT FROM claim newer
            WHERE newer.subject = claim.subject AND newer.sequence > claim.sequence AND newer.since <= claim.since)
    )
    SELECT subject, daterange(
        CASE WHEN lag(since) OVER claims IS NOT NULL THEN since END, lead(since) OVER claims) AS during, parent_id
    FROM kept WINDOW claims AS (PARTITION BY subject ORDER BY since)
"""

_INSERT_TREE = """
    INSERT INTO dashboard_tree (slot, organisation_id, during, parent_id)
    SELECT $1, * FROM unnest($2::uuid[], $3::daterange[], $4::uuid[]) AS new (organisation_id, during, parent_id)
"""

# The links of everything at or below the changed units that are no longer right (sign -1) or are new (sign 1).
_CHANGED_LINKS = """
    WITH RECURSIVE affected AS (
        SELECT organisation_id FROM dashboard_ancestry WHERE slot = $1 AND ancestor_id = ANY($2::uuid[])
        UNION SELECT unnest($2::uuid[])
    ), up AS (
        SELECT organisation_id, organisation_id AS ancestor_id, daterange(NULL, NULL) AS during, 1 AS depth FROM affected
        UNION ALL
        SELECT up.organisation_id, tree.parent_id, up.during * tree.during, up.depth + 1
        FROM up JOIN dashboard_tree tree
          ON tree.slot = $1 AND tree.organisation_id = up.ancestor_id AND tree.parent_id IS NOT NULL AND tree.during && up.during
        WHERE up.depth < 64
    ), old AS (
        SELECT organisation_id, ancestor_id, during FROM dashboard_ancestry
        WHERE slot = $1 AND organisation_id IN (SELECT organisation_id FROM affected)
    ), new AS (SELECT DISTINCT organisation_id, ancestor_id, during FROM up)
    SELECT *, -1 AS sign FROM (SELECT * FROM old EXCEPT SELECT * FROM new) wrong
    UNION ALL
    SELECT *, 1 AS sign FROM (SELECT * FROM new EXCEPT SELECT * FROM old) missing
"""

_DROP_LINKS = """
    DELETE FROM dashboard_ancestry known USING unnest($2::uuid[], $3::uuid[], $4::daterange[])
        AS wrong (organisation_id, ancestor_id, during)
    WHERE known.slot = $1 AND known.organisation_id = wrong.organisation_id
      AND known.ancestor_id = wrong.ancestor_id AND known.during = wrong.during
"""

_ADD_LINKS = """
    INSERT INTO dashboard_ancestry (slot, organisation_id, ancestor_id, during)
    SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::daterange[]) AS missing (organisation_id, ancestor_id, during)
"""

_STOCKS_ON = text("""
    SELECT cell, count FROM (
        SELECT standing.cell, standing.count - coalesce((
            SELECT sum(later.count) FROM dashboard_totals later
            WHERE later.slot = :slot AND later.organisation_id = :organisation_id AND later.cell = standing.cell
              AND later.day > :on AND later.day < 'infinity'
        ), 0)::bigint AS count
        FROM dashboard_totals standing
        WHERE standing.slot = :slot AND standing.organisation_id = :organisation_id
          AND standing.cell = ANY(CAST(:cells AS text[])) AND standing.day = 'infinity'
    ) found
    WHERE count <> 0
""")

_FLOWS_BETWEEN = text("""
    SELECT day, cell, count FROM dashboard_totals
    WHERE slot = :slot AND organisation_id = :organisation_id AND cell = ANY(CAST(:cells AS text[]))
      AND day BETWEEN :since AND :until AND count <> 0
    ORDER BY day, cell
""")


class Flow(NamedTuple):
    """How many joined or left on a day."""

    day: date
    cell: str
    how_many: int


async def locked_live_slot(session: WriteSession) -> int:
    """The live slot; holds the lock of the view until the transaction ends, so that batches follow each other."""
    connection = await driver(session)
    slot: int = await connection.fetchval("SELECT live FROM dashboard_state FOR UPDATE")
    return slot


async def live_slot(session: ReadSession) -> int:
    """The slot to read from."""
    slot: int = (await session.execute(text("SELECT live FROM dashboard_state"))).scalar_one()
    return slot


async def counted(session: WriteSession, slot: int, member_ids: list[UUID]) -> dict[UUID, Counted]:
    """How these members are counted so far."""
    connection = await driver(session)
    return {row["member_id"]: Counted(*row) for row in await connection.fetch(_COUNTED, slot, member_ids)}


async def count_members(session: WriteSession, slot: int, members: Sequence[Counted]) -> None:
    """Store how these members are counted now."""
    connection = await driver(session)
    await connection.execute(
        _COUNT_MEMBERS,
        slot,
        [member.member_id for member in members],
        [member.sequence for member in members],
        [member.day for member in members],
        [member.organisation_id for member in members],
        [member.status for member in members],
        [member.gender for member in members],
        [member.birth_year for member in members],
        [member.employment_form for member in members],
    )


async def add_own(session: WriteSession, slot: int, changes: Sequence[Difference]) -> None:
    """Add folded differences (each unit, cell and day once) to the units' own counts and to the totals above them."""
    if not changes:
        return
    connection = await driver(session)
    await connection.execute(_ADD_OWN, list(FLOWS), slot, *as_columns(changes))


async def replace_parents(session: WriteSession, slot: int, organisation_ids: list[UUID]) -> None:
    """Derive from the facts who stood above these units from when to when, and shift the totals accordingly."""
    connection = await driver(session)
    tree = await connection.fetch(_REPLACE_TREE, slot, organisation_ids)
    await connection.execute(_INSERT_TREE, slot, *as_columns(tree))
    links = await connection.fetch(_CHANGED_LINKS, slot, organisation_ids)
    if not links:
        return
    wrong, missing = ([link[:3] for link in links if link["sign"] == sign] for sign in (-1, 1))
    if wrong:
        await connection.execute(_DROP_LINKS, slot, *as_columns(wrong))
    if missing:
        await connection.execute(_ADD_LINKS, slot, *as_columns(missing))
    await connection.execute(_SHIFT_BY_LINKS, list(FLOWS), slot, *as_columns(links))


async def stocks_on(session: ReadSession, slot: int, organisation_id: UUID, on: date) -> dict[str, int]:
    """The stock cells of a unit's whole subtree at the end of a day; empty cells are left out."""
    rows = await session.execute(
        _STOCKS_ON, {"slot": slot, "organisation_id": organisation_id, "on": on, "cells": stock_cells(on)}
    )
    return {row[0]: row[1] for row in rows}


async def flows_between(
    session: ReadSession, slot: int, organisation_id: UUID, since: date, until: date
) -> list[Flow]:
    """Joined and left per day, days without either left out."""
    rows = await session.execute(
        _FLOWS_BETWEEN,
        {
            "slot": slot,
            "organisation_id": organisation_id,
            "since": since,
            "until": until,
            "cells": list(FLOWS),
        },
    )
    return [Flow(*row) for row in rows]


async def empty_slot(session: WriteSession, slot: int) -> None:
    """Empty all partitions of a slot that is not live."""
    if slot not in (0, 1) or slot == await live_slot(session):
        raise ValueError(f"slot {slot} cannot be emptied")
    tables = ", ".join(f"{table}_{slot}" for table in SLOTTED)
    await session.execute(text(f"TRUNCATE {tables}"))


async def building(session: WriteSession) -> tuple[int, int] | None:
    """The slot under construction and the last fact counted there; None when no rebuild is under way."""
    row = (await session.execute(text("SELECT building, built_up_to FROM dashboard_state"))).one()
    return None if row.building is None else (row.building, row.built_up_to)


async def note_building(session: WriteSession, slot: int, *, built_up_to: int) -> None:
    """Remember how far a rebuild has come."""
    await session.execute(
        text("UPDATE dashboard_state SET building = :slot, built_up_to = :fact"),
        {"slot": slot, "fact": built_up_to},
    )


async def make_live(session: WriteSession, slot: int, *, built_up_to: int) -> None:
    """Readers see the rebuilt slot from this commit on. Up to this fact both slots have counted the same."""
    await session.execute(
        text(
            "UPDATE dashboard_state SET live = :slot, building = NULL, built_up_to = :fact, switched_at = now()"
        ),
        {"slot": slot, "fact": built_up_to},
    )


async def fingerprint(session: ReadSession, slot: int) -> str:
    """A hash of all totals of a slot, zero rows left out: equal for a live and a rebuilt view (I7)."""
    row = await session.execute(
        text("""
            SELECT coalesce(sum(hashtextextended(concat_ws('|', organisation_id, cell, day, count), 0)), 0)::text
                || '/' || count(*)
            FROM dashboard_totals WHERE slot = :slot AND count <> 0
        """),
        {"slot": slot},
    )
    found: str = row.scalar_one()
    return found


class Slots(NamedTuple):
    """Which slot is live; which one grows if any, up to which of the facts; the newest fact."""

    live: int
    building: int | None
    built_up_to: int
    newest: int


async def slots(session: ReadSession) -> Slots:
    """How the two slots stand."""
    newest = "(SELECT coalesce(max(id), 0) FROM facts)"
    row = await session.execute(text(f"SELECT live, building, built_up_to, {newest} FROM dashboard_state"))  # noqa: S608
    return Slots(*row.one())
