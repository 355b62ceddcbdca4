"""The one MetaData of this service, and the mapper that ties plain domain classes to its tables."""

from sqlalchemy import MetaData
from sqlalchemy.orm import registry

from shared.database.metadata import service_metadata, with_all_tables

metadata = service_metadata()
mapper = registry(metadata=metadata)


def complete_metadata() -> MetaData:
    """For migrations."""
    return with_all_tables(metadata, "membership_service")
