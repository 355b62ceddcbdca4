"""The one MetaData of this service: shared tables, the directory replica, and the tables of the views."""

from importlib import import_module

from sqlalchemy import MetaData

from shared.database.metadata import service_metadata
from shared.directory.tables import directory_tables

metadata = service_metadata()
directory = directory_tables(metadata)


def complete_metadata() -> MetaData:
    """The metadata with the tables of every slice in it, for comparing with the migrated database."""
    for slice_name in ("facts", "dashboard"):
        import_module(f"gateway_service.{slice_name}.tables")
    return metadata
