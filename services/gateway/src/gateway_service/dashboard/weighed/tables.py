"""What each aggregate counts now, and the payments behind each person who was helped. In two slots, like the figures."""

from sqlalchemy import BigInteger, Column, Date, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from gateway_service.metadata import metadata

SLOTTED = ("dashboard_weighed", "dashboard_people")
_IN_SLOTS = "LIST (slot)"

dashboard_weighed = Table(
    "dashboard_weighed",
    metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("id", Uuid, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("day", Date, nullable=False),
    Column("organisation_id", Uuid, nullable=False),
    Column("cells", JSONB, nullable=False),
    postgresql_partition_by=_IN_SLOTS,
)

# `days` holds how many payments more or fewer there were on a day: a later look at an earlier day must find it.
dashboard_people = Table(
    "dashboard_people",
    metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("organisation_id", Uuid, primary_key=True),
    Column("member_id", Uuid, primary_key=True),
    Column("days", JSONB, nullable=False),
    postgresql_partition_by=_IN_SLOTS,
)

# The names of programmes as of now: a state replica, in no slot.
programme_names = Table(
    "programme_names",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)
