"""For programs that an operator runs: whether the database lets them in, and what to look at if it does not."""

import sys

import asyncpg

from shared.database.failures import DATABASE_ERRORS
from shared.settings import PREFIX

#: Seconds for the first answer.
PATIENCE = 10


async def require_database(url: str, setting: str) -> None:
    """End the process at once, naming the variable, if nobody lets it in there. `setting` is the address's field."""
    try:
        connection = await asyncpg.connect(url, timeout=PATIENCE)
    except DATABASE_ERRORS as refused:
        reason = str(refused) or f"no answer within {PATIENCE} s"
        sys.exit(f"{PREFIX}{setting.upper()}: the database cannot be used ({reason})")
    await connection.close()
