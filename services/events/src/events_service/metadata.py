"""The one MetaData of this service, and the mapper that ties plain domain classes to its tables."""

import pkgutil
from enum import StrEnum
from importlib import import_module

from sqlalchemy import Enum, MetaData
from sqlalchemy.orm import registry

import events_service
from shared.database.metadata import service_metadata
from shared.directory.tables import directory_tables, member_references

metadata = service_metadata()
mapper = registry(metadata=metadata)
directory = directory_tables(metadata)
members = member_references(metadata)


def text_enum(kind: type[StrEnum]) -> Enum:
    """A column of the values of `kind` as plain text: a new value needs no migration."""
    return Enum(
        kind, native_enum=False, length=32, values_callable=lambda values: [value.value for value in values]
    )


def complete_metadata() -> MetaData:
    """The metadata with the tables of every slice, for migrations; a slice cannot be forgotten."""
    for slice_ in pkgutil.iter_modules(events_service.__path__):
        if slice_.ispkg and _has_tables(slice_.name):
            import_module(f"events_service.{slice_.name}.tables")
    return metadata


def _has_tables(name: str) -> bool:
    package = import_module(f"events_service.{name}")
    return any(module.name == "tables" for module in pkgutil.iter_modules(package.__path__))
