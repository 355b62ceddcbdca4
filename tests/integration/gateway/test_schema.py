"""The schema is what the tables say, and what is read often is read by index ranges, as the application role."""

import re
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import event

from gateway_service.dashboard.weighed import repository as weighed
from gateway_service.facts import repository as facts
from shared.contracts.membership import MEMBERS
from shared.database.engine import Database
from shared.database.migrations import run
from shared.database.scope import Scope
from shared.database.session import ReadSession, driver
from shared.testing.databases import DatabaseFactory


def test_the_migrations_make_what_the_tables_say(make_database: DatabaseFactory) -> None:
    run("gateway_service", ["check"], url=make_database("gateway").owner)


def test_the_newest_migration_can_be_taken_back(make_database: DatabaseFactory) -> None:
    url = make_database("gateway").owner
    run("gateway_service", ["downgrade", "0002_views"], url=url)
    run("gateway_service", ["upgrade", "head"], url=url)
    run("gateway_service", ["check"], url=url)


MEMBER, UNIT = UUID(int=1), UUID(int=2)
_FILL = """
    INSERT INTO directory_organisations (id, number, code, name, kind, path, founded_on, sequence)
    SELECT gen_random_uuid(), n, 'P' || n, 'x', 'group', '1/' || to_hex(n) || '/', date '2026-01-01', 1
    FROM generate_series(2, 2000) AS n
    UNION ALL
    SELECT '00000000-0000-0000-0000-000000000002'::uuid, 1, 'P1', 'x', 'county', '1/', date '2026-01-01', 1;
    INSERT INTO member_places (member_id, organisation_id, sequence)
    SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n), 12, '0'))::uuid, '00000000-0000-0000-0000-000000000002', 1
    FROM generate_series(1, 20000) AS n;
    INSERT INTO facts (event_id, topic, type, source, subject, sequence, time, member_id, data)
    SELECT gen_random_uuid(), 'unionhall.membership.members.v1', 't', 's', member_id, n, now() - n * interval '1 hour',
        member_id, '{}'
    FROM member_places, generate_series(1, 4) AS n;
    INSERT INTO facts (event_id, topic, type, source, subject, sequence, time, member_id, data)
    SELECT gen_random_uuid(), 'unionhall.membership.members.v1', 't', 's', '00000000-0000-0000-0000-000000000001', n,
        now() - n * interval '1 minute', '00000000-0000-0000-0000-000000000001', '{}' FROM generate_series(10, 3000) AS n;
    INSERT INTO fact_members (fact_id, member_id, time) SELECT id, member_id, time FROM facts WHERE sequence < 4;
    INSERT INTO dashboard_totals (slot, organisation_id, cell, day, count)
    SELECT 0, organisation.id, 'aid.paid=' || n, day::date, 1
    FROM (SELECT id FROM directory_organisations ORDER BY path LIMIT 60) organisation, generate_series(1, 10) AS n,
        generate_series('2025-01-01'::timestamp, '2025-04-01', '1 day') AS day;
    INSERT INTO dashboard_totals (slot, organisation_id, cell, day, count)
    SELECT DISTINCT slot, organisation_id, cell, 'infinity'::date, 91 FROM dashboard_totals;
    ANALYZE directory_organisations, member_places, facts, fact_members, dashboard_totals
"""


async def test_a_timeline_and_figures_touch_what_they_show_whatever_lies_around(
    make_database: DatabaseFactory,
) -> None:
    """As the application role, under row-level security: the statements that the repositories send, and what they read."""
    urls = make_database("gateway")
    owner = await asyncpg.connect(urls.owner)
    try:
        await owner.execute(_FILL)
    finally:
        await owner.close()
    app = Database(urls.app, pool_size=1, application_name="test-plans")
    try:
        async with app.read(Scope(("1/",))) as session:
            sent: list[tuple[str, tuple[Any, ...]]] = []
            watch(session, sent)
            page = await facts.timeline_page(session, MEMBER, [MEMBERS.name], None, 51)
            shown = await weighed.standing_on(session, 0, UNIT, "aid.", date(2026, 1, 1))
            assert (len(page), len(shown)) == (51, 10)
            assert len(sent) == 2
            for statement, values in sent:
                plan = await explained(session, statement, values)
                assert "Seq Scan" not in plan, plan
                assert buffers(plan) < 800, plan
    finally:
        await app.close()


def watch(session: ReadSession, sent: list[tuple[str, tuple[Any, ...]]]) -> None:
    """Note every statement of a session as the driver gets it."""

    def note(_: Any, __: Any, statement: str, values: tuple[Any, ...], *___: Any) -> None:
        sent.append((statement, values))

    event.listen(session.get_bind(), "before_cursor_execute", note)


async def explained(session: ReadSession, statement: str, values: tuple[Any, ...]) -> str:
    connection = await driver(session)
    rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) {statement}", *values)
    return "\n".join(row[0] for row in rows)


def buffers(plan: str) -> int:
    """Pages that the whole statement touched: the first line of its buffers is that of the top node."""
    line = next(line for line in plan.splitlines() if "Buffers:" in line)
    return sum(int(count) for count in re.findall(r"(?:hit|read)=(\d+)", line))
