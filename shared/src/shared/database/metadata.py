"""The MetaData of a service: naming convention, shared tables, types that SQLAlchemy does not know."""

from sqlalchemy import MetaData
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType

from shared.database.shared_tables import shared_tables
from shared.database.types import Snapshot, Xid8

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# So that Alembic compares these columns instead of warning about them.
_REFLECTED: dict[str, type[UserDefinedType[str]]] = {"xid8": Xid8, "pg_snapshot": Snapshot}
ischema_names.update(_REFLECTED)


def service_metadata() -> MetaData:
    """A fresh MetaData with the naming convention and the tables that every service has."""
    metadata = MetaData(naming_convention=NAMING)
    shared_tables(metadata)
    return metadata
