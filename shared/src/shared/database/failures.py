"""What a database error means for whoever asked: nothing to do with them, worth another try, or their own."""

from collections.abc import Iterator

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.kernel.errors import Unavailable

#: Class 08 (connection), 53 (resources, disk full among them), 57P (shutdown), 58 (system), XX: the server's own trouble.
#: 25006: written to a standby.
_SERVER_CLASSES = ("08", "53", "57P", "58")
_SERVER_CODES = frozenset({"25006"})
#: Serialization failure, deadlock, lock not available, idle-in-transaction time-out.
_COLLISIONS = frozenset({"40001", "40P01", "55P03", "25P03"})


#: All that a statement may raise, whichever way it goes: for loops that outlive their database.
DATABASE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    SQLAlchemyError,
    Unavailable,
)
#: Raised on the client's side before anything was sent: the connection was cut under it.
_CUT = (asyncpg.InterfaceError, asyncpg.InternalClientError)


class DatabaseBusy(Unavailable):
    """No connection came free in time."""

    def __init__(self) -> None:
        super().__init__("database-busy", retry_after=1)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from; SQLAlchemy wraps twice."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.orig if isinstance(current, DBAPIError) else current.__cause__


def sqlstate(error: BaseException) -> str | None:
    """The five-character code of PostgreSQL behind `error`, if any."""
    for cause in _chain(error):
        code = getattr(cause, "sqlstate", None)
        if isinstance(code, str):
            return code
    return None


def violated_constraint(error: BaseException) -> str | None:
    """The name of the constraint behind an integrity error, if any."""
    for cause in _chain(error):
        if isinstance(cause, asyncpg.IntegrityConstraintViolationError):
            name: str | None = cause.constraint_name
            return name
    return None


def is_database_lost(error: BaseException) -> bool:
    """The server cannot be reached or cannot work: wait for it, whoever asked is not to blame."""
    code = sqlstate(error)
    if code is not None:
        return code.startswith(_SERVER_CLASSES) or code in _SERVER_CODES
    return any(
        isinstance(cause, (OSError, *_CUT, PoolTimeout, InterfaceError, DatabaseBusy))
        or (isinstance(cause, DBAPIError) and cause.connection_invalidated)
        for cause in _chain(error)
    )


def is_collision(error: BaseException) -> bool:
    """Two transactions met; the same work may simply be tried again."""
    return sqlstate(error) in _COLLISIONS
