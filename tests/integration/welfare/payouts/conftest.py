"""What the tests of payouts stand on."""

import pytest

from shared.database.engine import Database
from shared.security.keys import KeyRing
from tests.integration.welfare.payouts.office import Office
from tests.support.welfare import Welfare
from welfare_service.settings import Settings


@pytest.fixture
async def office(welfare: Welfare, worker_database: Database, settings: Settings) -> Office:
    return await Office.open(welfare, worker_database, KeyRing.load(settings.keys_file))
