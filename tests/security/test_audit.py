"""S13: the audit of each service as it is after all that was done: whatever is done to it is found.

Tampering is done as the tables' owner, who stands for whoever got hold of the database, in a transaction that is rolled back.
`tests/integration/security/test_audit_chain.py` tries the chain alone, in all its ways.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.security.chain import ChainReport, chain_head, link_batch, verify_chain
from shared.security.keys import KeyRing
from tests.security.stage import Stage
from tests.security.world import OWNERS

_FOURTH = "(SELECT entry_id FROM audit_chain WHERE position = 4)"
TAMPERING: dict[str, tuple[str, ...]] = {
    "update who": (f"UPDATE audit_entries SET actor_subject = 'x' WHERE id = {_FOURTH}",),
    "update what": (f'UPDATE audit_entries SET details = \'{{"a": "b"}}\' WHERE id = {_FOURTH}',),
    "update when": (f"UPDATE audit_entries SET at = at - interval '1 day' WHERE id = {_FOURTH}",),
    "update where": (f"UPDATE audit_entries SET path = '1/zzz/' WHERE id = {_FOURTH}",),
    "delete an entry": (f"DELETE FROM audit_entries WHERE id = {_FOURTH}",),
    "delete a link": ("DELETE FROM audit_chain WHERE position = 4",),
    "delete both": (
        f"DELETE FROM audit_entries WHERE id = {_FOURTH}",
        "DELETE FROM audit_chain WHERE position = 4",
    ),
    "reorder": (
        "CREATE TEMP TABLE pair ON COMMIT DROP AS SELECT position, entry_id FROM audit_chain WHERE position IN (4, 5)",
        "UPDATE audit_chain SET entry_id = -position WHERE position IN (4, 5)",
        "UPDATE audit_chain c SET entry_id = p.entry_id FROM pair p WHERE c.position = 9 - p.position",
    ),
    "truncate the entries": ("TRUNCATE audit_entries",),
    "truncate both": ("TRUNCATE audit_entries, audit_chain",),
    "cut off the end": (
        "DELETE FROM audit_entries WHERE id IN (SELECT entry_id FROM audit_chain WHERE position > 5)",
        "DELETE FROM audit_chain WHERE position > 5",
    ),
    "rewrite": (
        f"UPDATE audit_entries SET action = 'nothing' WHERE id = {_FOURTH}",
        "UPDATE audit_chain SET hash = sha256('forged')",
    ),
}


@asynccontextmanager
async def as_owner(stage: Stage, service: str) -> AsyncIterator[AsyncSession]:
    url = make_url(stage.world.urls[service].owner).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, poolclass=NullPool)
    async with AsyncSession(engine) as session:
        yield session
        await session.rollback()
    await engine.dispose()


async def linked(stage: Stage, service: str) -> KeyRing:
    """Link all that is there; the ring."""
    ring = KeyRing.load(stage.world.keys_file)
    async with stage.world.workers[service].write(Scope.everything()) as session:
        while await link_batch(session, ring):
            pass
        await session.commit()
    return ring


async def checked(stage: Stage, service: str, statements: tuple[str, ...]) -> ChainReport:
    """The report after these statements, which then are undone; the head as it was before is known from elsewhere."""
    ring = await linked(stage, service)
    async with stage.world.workers[service].read(Scope.everything()) as session:
        head = await chain_head(session)
    assert head
    async with as_owner(stage, service) as session:
        for statement in statements:
            await session.execute(text(statement))
        return await verify_chain(session, ring, (head,))


@pytest.mark.parametrize("service", OWNERS)
async def test_what_really_happened_verifies(stage: Stage, service: str) -> None:
    report = await checked(stage, service, ())
    assert (report.valid, report.tail) == (True, 0)
    assert report.links > 5


@pytest.mark.parametrize("service", OWNERS)
@pytest.mark.parametrize("kind", TAMPERING)
async def test_tampering_is_found(stage: Stage, service: str, kind: str) -> None:
    report = await checked(stage, service, TAMPERING[kind])
    assert not report.valid, kind
    assert report.reason
    assert (await checked(stage, service, ())).valid


@pytest.mark.parametrize("service", OWNERS)
async def test_32_parallel_appends_are_each_linked_once(stage: Stage, service: str) -> None:
    await linked(stage, service)
    links = (await checked(stage, service, ())).links
    database = Database(stage.world.urls[service].app, pool_size=8, application_name="test")

    async def append(number: int) -> None:
        async with database.write(Scope.nothing()) as session:
            session.act_as("issuer", f"user-{number}", "request")
            session.audit("test.append", "test", uuid4(), {"number": str(number)})
            await session.flush_events()
            await session.commit()

    await asyncio.gather(*(append(number) for number in range(32)))
    await database.close()
    assert (await checked(stage, service, ())).links == links + 32


@pytest.mark.parametrize("service", OWNERS)
@pytest.mark.parametrize("role", ["app", "worker"])
@pytest.mark.parametrize("table", ["audit_entries", "audit_chain"])
async def test_no_running_program_may_change_it(stage: Stage, service: str, role: str, table: str) -> None:
    connection: Any = await asyncpg.connect(getattr(stage.world.urls[service], role))
    try:
        for statement in (
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"UPDATE {table} SET {_column(table)}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


def _column(table: str) -> str:
    return "action = 'x'" if table == "audit_entries" else "key_id = 'x'"
