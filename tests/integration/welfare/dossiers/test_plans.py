"""Every statement that lists, searches or collects work on dossiers is an index range for the application role (settled §16).

The statements are caught on their way to the database, with their parameters, and explained as they were.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import event

from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.database.session import ReadSession
from shared.testing.databases import DatabaseFactory
from welfare_service.dossiers import repository
from welfare_service.dossiers.repository import Filters
from welfare_service.dossiers.reviews import repository as reviews

FEDERATION, SUBTREE = 20_000, 20
PATH = "1/7/"
Read = Callable[[ReadSession], Awaitable[object]]

READS: dict[str, Read] = {
    "list": lambda session: repository.page(session, [PATH], Filters(), None, 51),
    "next page": lambda session: repository.page(session, [PATH], Filters(), (PATH, UUID(int=1 << 127)), 51),
    "number": lambda session: repository.page(session, [PATH], Filters(number="0000001000"), None, 51),
    "awaiting": lambda session: repository.awaiting(session, [PATH], 201),
    "reviews": lambda session: reviews.open_within(session, [PATH], 201),
    "head": lambda session: repository.page(
        session, [PATH], Filters(last4_blinds=(b"\x01" * 16, b"\x02" * 16)), None, 51
    ),
    "whole": lambda session: repository.get(session, UUID(int=FEDERATION // SUBTREE)),
}


@pytest.fixture(scope="module")
async def filled(make_database: DatabaseFactory) -> DatabaseUrls:
    """Many dossiers with a person and two reviews each, few of them below one unit."""
    urls = make_database("welfare")
    place = (
        f"CASE WHEN n % {FEDERATION // SUBTREE} = 0 THEN '{PATH}' ELSE '1/f' || to_hex(n % 500) || '/' END"
    )
    owner = await asyncpg.connect(urls.owner)
    try:
        await owner.execute(f"""
            INSERT INTO dossiers (id, number, organisation_id, path, status, primary_cause, exclusions, hardship_class,
                awaiting_since, data_key_wrapped, key_version, version, created_at, updated_at)
            SELECT lpad(to_hex(n), 32, '0')::uuid, lpad(n::text, 10, '0'), gen_random_uuid(), {place}, 'open', 'illness',
                '[]', 'deep', CASE WHEN n % 3 < 2 THEN now() END, 'x', 1, 1, now(), now()
            FROM generate_series(1, {FEDERATION}) AS n
            """)
        await owner.execute("""
            INSERT INTO dossier_persons (id, dossier_id, relation, health, insurance, occupation, is_able, document_type,
                last4_blind, data_key_wrapped, key_version, entered_on, is_standing)
            SELECT id, id, 'head', 'good', 'none', 'employed', true, 'passport', sha256(id::text::bytea), 'x', 1,
                '2026-01-01', true
            FROM dossiers
            """)
        await owner.execute("""
            INSERT INTO dossier_reviews (id, dossier_id, organisation_id, path, kind, reason, since, due_on, done_at)
            SELECT gen_random_uuid(), id, organisation_id, path, 'yearly', 'r' || n, now(), '2026-01-01',
                CASE WHEN n = 1 THEN now() END
            FROM dossiers, generate_series(1, 2) AS n
            """)
        await owner.execute("ANALYZE")
    finally:
        await owner.close()
    return urls


@asynccontextmanager
async def caught(database: Database) -> AsyncIterator[list[tuple[str, tuple[Any, ...]]]]:
    """The queries of dossiers that a block sends."""
    sent: list[tuple[str, tuple[Any, ...]]] = []

    def catch(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "FROM dossier" in statement:
            sent.append((statement, tuple(parameters)))

    event.listen(database.engine.sync_engine, "before_cursor_execute", catch)
    try:
        yield sent
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", catch)


@pytest.mark.parametrize("name", READS)
async def test_what_is_sent_reads_an_index_range(filled: DatabaseUrls, name: str) -> None:
    database = Database(filled.app, pool_size=1, application_name="test-plans")
    connection = await asyncpg.connect(filled.app)
    try:
        async with caught(database) as sent, database.read(Scope((PATH,))) as session:
            await READS[name](session)
        assert sent
        await connection.execute("SELECT set_config('app.scope', $1, false)", PATH)
        for statement, parameters in sent:
            rows = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}", *parameters)
            plan = "\n".join(row[0] for row in rows)
            # No row of anybody else is even looked at; the table of lines is empty here and may be read as it is.
            assert "Seq Scan on dossiers" not in plan, plan
            assert "Seq Scan on dossier_persons" not in plan, plan
            assert "Seq Scan on dossier_reviews" not in plan, plan
            removed = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed" in line]
            assert sum(removed) <= SUBTREE, plan
    finally:
        await connection.close()
        await database.close()
