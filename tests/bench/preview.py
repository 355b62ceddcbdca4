"""Who would be eligible: the preview of a programme over a million members, their dossiers and what they were granted."""

import io
import time
from typing import Any, Final
from uuid import UUID

import asyncpg

from tests.bench.figures import Figure, figure, interleaved
from tests.bench.ground import Ground, Size, calm
from tests.bench.hot_row import owner
from tests.bench.offices import office
from tests.support.aid import Aid

#: Every kind of criterion at once.
_RULE: Final[dict[str, Any]] = {
    "all": [
        {"age": {"min": 18, "max": 60}},
        {"gender": ["female"]},
        {"employment_form": ["contract", "migrant"]},
        {"member_months": 12},
        {"not_helped": {"months": 12, "by": "any"}},
        {"not": {"hardship_class": ["deep"]}},
    ]
}
#: One city for a hundred units. $1 the unit of the programme, $2 its path, $3 how many.
_UNITS: Final = """
    INSERT INTO directory_organisations (id, number, code, name, kind, parent_id, path, founded_on, sequence)
    SELECT gen_random_uuid(), 100000 + n, 'BENCH-' || n, '示例工会', 'county', $1,
        $2 || to_hex(1 + n % greatest(1, $3::int / 100)) || '/' || CASE WHEN n <= $3 / 100 THEN '' ELSE to_hex(n) || '/' END,
        '2020-01-01', 1
    FROM generate_series(1, $3::int) AS n
"""
#: $1 how many.
_MEMBERS: Final = """
    INSERT INTO directory_members (id, organisation_id, status, gender, birth_year, employment_form, joined_on, sequence)
    SELECT gen_random_uuid(), units.ids[1 + n % cardinality(units.ids)], CASE WHEN n % 20 = 0 THEN 'withdrawn' ELSE 'active' END,
        CASE WHEN n % 2 = 0 THEN 'male' ELSE 'female' END, 1950 + n % 55,
        CASE WHEN n % 5 = 0 THEN 'migrant' ELSE 'contract' END, date '2015-01-01' + n % 4000, 1
    FROM generate_series(1, $1::int) AS n,
        (SELECT array_agg(id ORDER BY number) AS ids FROM directory_organisations WHERE code LIKE 'BENCH-%') AS units
"""
#: $1 how many members stand in an open dossier, each in one.
_DOSSIERS: Final = (
    """
    CREATE TEMP TABLE poor AS
    SELECT gen_random_uuid() AS dossier_id, m.id, m.organisation_id, o.path, row_number() OVER () AS n
    FROM directory_members m JOIN directory_organisations o ON o.id = m.organisation_id LIMIT {number}
    """,
    """
    INSERT INTO dossiers (id, number, organisation_id, path, status, primary_cause, exclusions, hardship_class,
        data_key_wrapped, key_version, version, created_at, updated_at)
    SELECT dossier_id, 'BENCH-' || n, organisation_id, path, 'open', 'illness', '[]', 'deep', '', 1, 1, now(), now() FROM poor
    """,
    """
    INSERT INTO dossier_persons (id, dossier_id, member_id, relation, health, insurance, occupation, is_able, document_type,
        key_version, entered_on, is_standing)
    SELECT gen_random_uuid(), dossier_id, id, 'head', 'good', 'none', 'none', true, 'resident_id', 1, '2026-01-01', true
    FROM poor
    """,
)
#: $1 the programme, $2 how many.
_CASES: Final = """
    INSERT INTO cases (id, case_number, organisation_id, path, programme_id, member_id, stage, stage_since, levels_up,
        requested_fen, approved_fen, approved_on, key_version, flagged, drafted_by_issuer, drafted_by_subject, is_own, version,
        created_at, updated_at)
    SELECT gen_random_uuid(), 'BENCH-' || row_number() OVER (), m.organisation_id, o.path, $1, m.id, 'acknowledged', now(), 0,
        1, 1, '2026-02-01', 1, false, 'i', 's', false, 1, now(), now()
    FROM directory_members m JOIN directory_organisations o ON o.id = m.organisation_id
    ORDER BY m.id LIMIT $2
"""


async def preview(ground: Ground, size: Size) -> list[Figure]:
    """Seconds of the request, and beside it the rows that the machine copies into a table of the same shape in a second."""
    members = size.of(1_000_000, 5_000)
    async with office(ground) as (aid, urls), owner(ground, urls) as connection:
        programme = await aid.programme(eligibility=_RULE)
        await _fill(connection, aid, UUID(programme["id"]), members)
        await _seconds(aid, programme, members)
        found = await interleaved(
            size.rounds,
            preview=lambda: _seconds(aid, programme, members),
            copy=lambda: _copied(ground, connection, members),
        )
    return [
        figure("preview_million_s", "s", found["preview"], target="value <= 2"),
        figure("preview_copy_rows", "rows/s", found["copy"], target="value >= 100000"),
    ]


async def _fill(connection: asyncpg.Connection, aid: Aid, programme_id: UUID, members: int) -> None:
    await connection.execute(_UNITS, aid.unit.id, aid.unit.path, members // 50)
    await connection.execute(_MEMBERS, members, timeout=600)
    for statement in _DOSSIERS:
        await connection.execute(statement.format(number=members * 3 // 100), timeout=600)
    await connection.execute(_CASES, programme_id, members // 10, timeout=600)
    await connection.execute("VACUUM ANALYZE", timeout=600)


async def _seconds(aid: Aid, programme: dict[str, Any], members: int) -> float:
    began = time.perf_counter()
    path = f"/programmes/{programme['id']}/preview"
    shown = await aid.welfare.call("POST", path, by=aid.officer, json={})
    taken = time.perf_counter() - began
    if not 0 < shown["people"] < members:
        raise RuntimeError(f"the rule selects {shown['people']} of {members} members")
    return taken


async def _copied(ground: Ground, connection: asyncpg.Connection, members: int) -> float:
    """Rows a second of COPY into a table with the same columns and indexes."""
    rows = io.BytesIO()
    await connection.copy_from_table("directory_members", output=rows, format="binary", timeout=600)
    await connection.execute("CREATE TABLE copied (LIKE directory_members INCLUDING ALL)")
    await calm(ground.postgres_url)
    rows.seek(0)
    began = time.perf_counter()
    await connection.copy_to_table("copied", source=rows, format="binary", timeout=600)
    taken = time.perf_counter() - began
    await connection.execute("DROP TABLE copied")
    return members / taken
