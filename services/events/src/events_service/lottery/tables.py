"""Tables of lotteries. Who was drawn lies in blocks of many entries: a lottery of a million has a hundred of them."""

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Integer, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from events_service.lottery.domain import Lottery
from events_service.metadata import mapper, metadata

_Moment = DateTime(timezone=True)

lotteries = Table(
    "lotteries",
    metadata,
    Column("activity_id", Uuid, ForeignKey("activities.id"), primary_key=True),
    Column("commitment", LargeBinary, nullable=False),
    Column("committed_at", _Moment, nullable=False),
    Column("seed_wrapped", LargeBinary),
    Column("seed", LargeBinary),
    Column("entries", Integer),
    Column("entries_digest", LargeBinary),
    Column("seats", ARRAY(Integer)),
    Column("drawn_at", _Moment),
    Column("drawn_by_issuer", Text),
    Column("drawn_by_subject", Text),
    CheckConstraint(
        "(seed IS NULL) = (drawn_at IS NULL) AND (seed IS NULL) = (seed_wrapped IS NOT NULL)",
        name="sealed_until_drawn",
    ),
)

lottery_blocks = Table(
    "lottery_blocks",
    metadata,
    Column("activity_id", Uuid, ForeignKey("lotteries.activity_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("entries", LargeBinary, nullable=False),
)

mapper.map_imperatively(Lottery, lotteries)
