"""The one MetaData of this service: shared tables, the directory replica, and the tables of the views."""

from sqlalchemy import MetaData

from shared.database.metadata import service_metadata, with_all_tables
from shared.directory.tables import directory_tables

metadata = service_metadata()
directory = directory_tables(metadata)


def complete_metadata() -> MetaData:
    """For migrations."""
    return with_all_tables(metadata, "gateway_service")
