"""One world for all security tests: making it takes seconds, and none of them needs it empty."""

from collections.abc import AsyncIterator

import pytest

from shared.testing.databases import DatabaseFactory
from tests.security.stage import Stage, set_up
from tests.security.world import World, opened


@pytest.fixture(scope="package")
async def world(
    make_database: DatabaseFactory, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    async with opened(make_database, tmp_path_factory.mktemp("security")) as world:
        yield world


@pytest.fixture(scope="package")
async def stage(world: World) -> Stage:
    return await set_up(world)
