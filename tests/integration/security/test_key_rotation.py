"""Rotation of the key-encryption key on a real table: killed half-way it goes on, and nobody's key is lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Column, LargeBinary, MetaData, Table, Uuid, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from shared.security.fields import PersonKey
from shared.security.keys import SealBroken
from shared.security.rotation import WrappedKeys, keys_in_use, rewrap_batch, rotation_handler
from shared.testing.databases import DatabaseFactory
from tests.integration.security.conftest import engine, ring_of

PEOPLE = Table(
    "people",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("data_key_wrapped", LargeBinary),
    Column("sealed", LargeBinary),
)
PLACE = WrappedKeys(PEOPLE)
COUNT = 2500
OLD, BOTH, NEW = ring_of("k1"), ring_of("k1 k2"), ring_of("k2")


class Killed(Exception):
    """Stands for the end of the process."""


class Job:
    """Transactions that are committed together with the progress, as those of shared.jobs; dies in a given chunk."""

    def __init__(self, owner: AsyncEngine, progress: dict[str, Any], dies_in: int | None = None) -> None:
        self.owner, self.stored, self.dies_in = owner, progress, dies_in
        self.progress = dict(progress)
        self.chunks = 0

    @asynccontextmanager
    async def chunk(self) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self.owner) as session:
            yield session
            self.chunks += 1
            if self.chunks == self.dies_in:
                raise Killed
            await session.commit()
        self.stored |= self.progress


@pytest.fixture
async def owner(make_database: DatabaseFactory) -> AsyncIterator[AsyncEngine]:
    """2,500 people under the old key, one of them erased."""
    owner = engine(make_database("membership", migrated=False).owner)
    rows = []
    for number in range(COUNT):
        person, record = PersonKey.new(OLD), UUID(int=number + 1)
        sealed = person.seal(f"secret {number}", table="people", column="sealed", record=record)
        rows.append({"id": record, "data_key_wrapped": person.wrapped, "sealed": sealed})
    rows[7]["data_key_wrapped"] = None
    async with owner.begin() as connection:
        await connection.run_sync(PEOPLE.metadata.create_all)
        await connection.execute(PEOPLE.insert(), rows)
    yield owner
    await owner.dispose()


async def in_use(owner: AsyncEngine) -> dict[str, int]:
    async with AsyncSession(owner) as session:
        return await keys_in_use(session, PLACE)


async def assert_all_open_with_the_new_key_alone(owner: AsyncEngine) -> None:
    async with owner.connect() as connection:
        people = (await connection.execute(PEOPLE.select())).all()
    assert len(people) == COUNT
    for row in people:
        if row.id == UUID(int=8):
            assert row.data_key_wrapped is None
            continue
        person = PersonKey.opened(NEW, row.data_key_wrapped)
        assert (
            person.unseal(row.sealed, table="people", column="sealed", record=row.id)
            == f"secret {row.id.int - 1}"
        )


async def test_rotation_rewraps_every_key(owner: AsyncEngine) -> None:
    assert await in_use(owner) == {"k1": COUNT - 1}
    progress: dict[str, Any] = {}
    await rotation_handler(BOTH, [PLACE])(Job(owner, progress))
    assert progress == {"people": "done"}
    assert await in_use(owner) == {"k2": COUNT - 1}
    await assert_all_open_with_the_new_key_alone(owner)


@pytest.mark.parametrize("dies_in", [1, 2, 3])
async def test_killed_half_way_it_goes_on_where_it_was(owner: AsyncEngine, dies_in: int) -> None:
    progress: dict[str, Any] = {}
    with pytest.raises(Killed):
        await rotation_handler(BOTH, [PLACE])(Job(owner, progress, dies_in))
    assert (await in_use(owner)).get("k1", 0) > 0
    # Half-way, both kinds open with the ring that knows both keys.
    second = Job(owner, progress)
    await rotation_handler(BOTH, [PLACE])(second)
    assert second.chunks == 4 - dies_in
    assert await in_use(owner) == {"k2": COUNT - 1}
    await assert_all_open_with_the_new_key_alone(owner)


async def test_a_second_run_changes_nothing(owner: AsyncEngine) -> None:
    await rotation_handler(BOTH, [PLACE])(Job(owner, {}))
    async with owner.connect() as connection:
        before = (await connection.execute(PEOPLE.select().order_by(PEOPLE.c.id))).all()
    await rotation_handler(BOTH, [PLACE])(Job(owner, {}))
    async with owner.connect() as connection:
        assert (await connection.execute(PEOPLE.select().order_by(PEOPLE.c.id))).all() == before


async def test_a_person_erased_meanwhile_stays_erased(owner: AsyncEngine) -> None:
    class Racing(AsyncSession):
        """Erases somebody between the reading of the keys and their writing."""

        async def execute(self, statement: Any, *arguments: Any, **options: Any) -> Any:
            if "UPDATE" in str(statement):
                async with owner.begin() as other:
                    await other.execute(
                        text("UPDATE people SET data_key_wrapped = NULL WHERE id = :id"), {"id": UUID(int=3)}
                    )
            return await super().execute(statement, *arguments, **options)

    async with Racing(owner) as session:
        assert await rewrap_batch(session, BOTH, PLACE, limit=10) == UUID(int=10)
        await session.commit()
    async with owner.connect() as connection:
        wrapped = await connection.scalar(
            text("SELECT data_key_wrapped FROM people WHERE id = :id"), {"id": UUID(int=3)}
        )
    assert wrapped is None
    assert (await in_use(owner))["k2"] == 8


async def test_a_ring_without_the_old_key_stops_at_once(owner: AsyncEngine) -> None:
    progress: dict[str, Any] = {}
    with pytest.raises(SealBroken):
        await rotation_handler(NEW, [PLACE])(Job(owner, progress))
    assert progress == {}
    assert await in_use(owner) == {"k1": COUNT - 1}
