"""Every statement that the repository really sends for lists and work is an index range for the application role (settled §16).

The statements are caught on their way to the database, with their parameters, and explained as they were.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import event

from membership_service.members import repository
from membership_service.members.repository import Filters
from membership_service.members.transfers import repository as transfers
from shared.contracts.membership import MemberStatus
from shared.database.engine import Database
from shared.database.provision import DatabaseUrls
from shared.database.scope import Scope
from shared.database.session import ReadSession
from shared.testing.clock import StoppedClock
from shared.testing.databases import DatabaseFactory
from tests.support.membership import bootstrap

FEDERATION, SUBTREE = 20_000, 20
Read = Callable[[ReadSession, str], Awaitable[object]]

READS: dict[str, Read] = {
    "list": lambda session, path: repository.page(session, [path], Filters(), None, 51),
    "next page": lambda session, path: repository.page(
        session, [path], Filters(), (path, UUID(int=1 << 127)), 51
    ),
    "name": lambda session, path: repository.page(session, [path], Filters(name="王伟1"), None, 51),
    "phone": lambda session, path: repository.page(
        session, [path], Filters(phone_blinds=(b"\x01" * 16,)), None, 51
    ),
    "applications": lambda session, path: repository.waiting(
        session, [path], MemberStatus.APPLIED, not_by=("iss", "anna"), limit=201
    ),
    "returned": lambda session, path: repository.waiting(session, [path], MemberStatus.RETURNED, limit=201),
    "by id": lambda session, _: repository.by_ids(session, [UUID(int=number) for number in range(500)]),
    "transfers": lambda session, path: transfers.waiting(session, [path], 201),
}


@pytest.fixture(scope="module")
async def filled(make_database: DatabaseFactory) -> tuple[DatabaseUrls, str]:
    """Many members and transfers, few of them below one unit; that unit's path."""
    urls = make_database("membership")
    root_id = await bootstrap(urls, StoppedClock())
    owner = await asyncpg.connect(urls.owner)
    try:
        root = await owner.fetchval("SELECT path FROM organisations")
        place = f"$2 || CASE WHEN n % {FEDERATION // SUBTREE} = 0 THEN '7/' ELSE 'f' || to_hex(n % 500) || '/' END"
        await owner.execute(
            f"""
            INSERT INTO members (id, name, name_pinyin, name_initials, document_type, document_sealed, document_blind,
                last4_blind, phone_blind, data_key_wrapped, key_version, gender, employment_form, status, organisation_id, path,
                version, created_at, updated_at, applied_at, applied_by_issuer, applied_by_subject)
            SELECT gen_random_uuid(), '王伟' || n, 'ww' || n, 'w' || n, 'passport', 'x', sha256(n::text::bytea), 'x',
                sha256(n::text::bytea), 'x', 1, 'male', 'contract',
                (ARRAY['applied', 'returned', 'active', 'active', 'active'])[n % 5 + 1], $1, {place}, 1, now(), now(), now(),
                'iss', 'bert'
            FROM generate_series(1, {FEDERATION}) AS n
            """,
            root_id,
            root,
        )
        await owner.execute(
            f"""
            INSERT INTO transfers (id, member_id, from_organisation_id, from_path, to_organisation_id, to_path, state,
                status_before, reason, requested_by_issuer, requested_by_subject, requested_at, due_at, version)
            SELECT gen_random_uuid(), id, $1, {place}, $1, {place.replace("n %", "(n + 1) %")},
                (ARRAY['requested', 'released', 'accepted', 'accepted', 'accepted', 'refused'])[n % 6 + 1],
                'active', 'x', 'iss', 'anna', now(), now(), 1
            FROM (SELECT id, row_number() OVER ()::int AS n FROM members) AS m
            """,
            root_id,
            root,
        )
        await owner.execute("ANALYZE members; ANALYZE transfers")
    finally:
        await owner.close()
    return urls, f"{root}7/"


@asynccontextmanager
async def caught(database: Database) -> AsyncIterator[list[tuple[str, tuple[Any, ...]]]]:
    """The queries of members and transfers that a block sends."""
    sent: list[tuple[str, tuple[Any, ...]]] = []

    def catch(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and ("FROM members" in statement or "FROM transfers" in statement):
            sent.append((statement, tuple(parameters)))

    event.listen(database.engine.sync_engine, "before_cursor_execute", catch)
    try:
        yield sent
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", catch)


@pytest.mark.parametrize("name", READS)
async def test_what_is_sent_reads_an_index_range(filled: tuple[DatabaseUrls, str], name: str) -> None:
    urls, path = filled
    database = Database(urls.app, pool_size=1, application_name="test-plans")
    connection = await asyncpg.connect(urls.app)
    try:
        async with caught(database) as sent, database.read(Scope((path,))) as session:
            await READS[name](session, path)
        assert sent
        await connection.execute("SELECT set_config('app.scope', $1, false)", path)
        for statement, parameters in sent:
            rows = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}", *parameters)
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan on" not in plan, plan
            assert "Index Cond" in plan, plan
            removed = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed" in line]
            assert sum(removed) <= SUBTREE, plan
    finally:
        await connection.close()
        await database.close()
