"""The MetaData of a service: naming convention, shared tables, types that SQLAlchemy does not know."""

import pkgutil
from enum import StrEnum
from importlib import import_module

from sqlalchemy import Enum, MetaData
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


def text_enum(kind: type[StrEnum]) -> Enum:
    """A column of the values of `kind` as plain text: a new value needs no migration."""
    return Enum(
        kind, native_enum=False, length=32, values_callable=lambda values: [value.value for value in values]
    )


def with_all_tables(metadata: MetaData, service_package: str) -> MetaData:
    """The metadata with the tables of every slice of "membership_service", for migrations; a slice cannot be forgotten."""
    for slice_ in pkgutil.iter_modules(import_module(service_package).__path__):
        if slice_.ispkg:
            name = f"{service_package}.{slice_.name}"
            modules = pkgutil.iter_modules(import_module(name).__path__)
            if any(module.name == "tables" for module in modules):
                import_module(f"{name}.tables")
    return metadata
