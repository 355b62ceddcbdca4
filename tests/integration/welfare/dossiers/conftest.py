"""The application of the tests around it, with a membership service that knows people by their documents."""

import pytest

from tests.support.dossiers import KnownPeople, Office, office_of
from tests.support.welfare import Welfare


@pytest.fixture
def people() -> KnownPeople:
    return KnownPeople()


@pytest.fixture
def membership(people: KnownPeople) -> KnownPeople:
    return people


@pytest.fixture
async def office(welfare: Welfare, people: KnownPeople) -> Office:
    return await office_of(welfare, people)
