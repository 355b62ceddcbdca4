"""The made-up units, people and days that the examples of all owners speak of."""

from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

TIME: Final = datetime(2026, 3, 2, 1, 30, 0, 123456, UTC)
DAY: Final = date(2026, 3, 2)
COUNTY: Final = UUID("01958f00-0000-7000-8000-00000000000a")
UNIT: Final = UUID("01958f00-0000-7000-8000-00000000000b")
OTHER_UNIT: Final = UUID("01958f00-0000-7000-8000-00000000000c")
MEMBER: Final = UUID("01958f00-0000-7000-8000-000000000101")
ISSUER: Final = "https://union.example/identity"
SUBJECT: Final = "5f1c2a9e-3b1f-4f6e-9d55-000000000001"
