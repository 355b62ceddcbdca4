"""Which index keys hold everything: rosters wait until the current one does."""

from sqlalchemy import Column, DateTime, Table, Text

from membership_service.metadata import metadata

index_keys = Table(
    "index_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("completed_at", DateTime(timezone=True), nullable=False),
)
