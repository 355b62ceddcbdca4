"""The application of the tests around it, with a membership service that answers."""

import pytest

from shared.database.provision import DatabaseUrls
from shared.testing.databases import DatabaseFactory
from tests.support.aid import Aid, FakeMembership, aid_of
from tests.support.welfare import Unit, Welfare, found


@pytest.fixture(scope="session")
async def founded(make_database: DatabaseFactory) -> tuple[DatabaseUrls, Unit]:
    """A database of its own: here cases are paid without any bank, which the invariants of payouts would call a breach."""
    urls = make_database("welfare")
    return urls, await found(urls)


@pytest.fixture
def membership(founded: tuple[DatabaseUrls, Unit]) -> FakeMembership:
    return FakeMembership(founded[0].worker)


@pytest.fixture
async def aid(welfare: Welfare, membership: FakeMembership) -> Aid:
    return await aid_of(welfare, membership)
