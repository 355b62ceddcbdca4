"""The database alone guards programmes and cases: the statements name no path and no use case is asked."""

from uuid import UUID

import asyncpg
import pytest

from tests.support.aid import Aid, aid_of


async def test_without_a_scope_there_is_no_row_and_with_one_only_its_own(aid: Aid) -> None:
    other = await aid_of(aid.welfare, aid.membership)
    for one in (aid, other):
        await one.submitted(await one.programme(), await one.member())
    async with aid.welfare.connected("app") as connection:
        for scope in (None, "", "%", "1", f"{aid.unit.path}%", "*/"):
            if scope is not None:
                await connection.execute("SELECT set_config('app.scope', $1, false)", scope)
            for table in ("programmes", "programme_history", "cases", "case_history"):
                assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
        await connection.execute("SELECT set_config('app.scope', $1, false)", aid.unit.path)
        for table in ("programmes", "cases"):
            seen = await connection.fetch(f"SELECT DISTINCT organisation_id FROM {table}")
            assert [row["organisation_id"] for row in seen] == [aid.unit.id]
            forbidden = f"UPDATE {table} SET version = version WHERE organisation_id = $1"
            assert await connection.execute(forbidden, other.unit.id) == "UPDATE 0"
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(
                    f"UPDATE {table} SET path = $2 WHERE organisation_id = $1", aid.unit.id, other.unit.path
                )
        for table in ("programme_history", "case_history"):
            seen = await connection.fetch(f"SELECT DISTINCT organisation_id FROM {table}")
            assert [row["organisation_id"] for row in seen] == [aid.unit.id]
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"UPDATE {table} SET version = version")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"DELETE FROM {table}")


async def test_a_programme_is_read_from_below_and_changed_only_at_its_place(aid: Aid) -> None:
    below = await aid.welfare.unit(aid.unit)
    programme = UUID((await aid.programme())["id"])
    async with aid.welfare.connected("app") as connection:
        await connection.execute("SELECT set_config('app.scope', $1, false)", below.path)
        assert await connection.fetchval("SELECT count(*) FROM programmes WHERE id = $1", programme) == 1
        assert (
            await connection.execute("UPDATE programmes SET name = 'x' WHERE id = $1", programme)
            == "UPDATE 0"
        )
        # A unit whose path only looks alike is not above.
        await connection.execute("SELECT set_config('app.scope', $1, false)", f"{aid.unit.path[:-1]}0/")
        assert await connection.fetchval("SELECT count(*) FROM programmes WHERE id = $1", programme) == 0
