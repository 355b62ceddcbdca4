"""Bodies of replies about lotteries."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from events_service.activities.domain import Activity
from events_service.lottery.domain import Lottery


class LotteryReply(BaseModel):
    """A lottery. What lies in bytes is shown in hexadecimal; everything but the commitment is null until the draw."""

    activity_id: UUID
    commitment: str = Field(description="SHA-256 of the seed, public before anybody can enter")
    committed_at: datetime
    closes_at: datetime = Field(description="until when one can enter")
    entries: int | None
    entries_digest: str | None = Field(
        description="SHA-256 of all registration ids (16 bytes each), ascending"
    )
    seats: list[int] | None = Field(
        description="by pool: 0 is for all outside of quotas, n for the n-th quota"
    )
    seed: str | None = Field(description="revealed with the draw; the key is SHA-256(seed, entries_digest)")
    drawn_at: datetime | None

    @classmethod
    def of(cls, lottery: Lottery, activity: Activity) -> Self:
        """As it stands."""
        return cls(
            activity_id=lottery.activity_id,
            commitment=lottery.commitment.hex(),
            committed_at=lottery.committed_at,
            closes_at=activity.registration_closes_at,
            entries=lottery.entries,
            entries_digest=lottery.entries_digest.hex() if lottery.entries_digest else None,
            seats=lottery.seats,
            seed=lottery.seed.hex() if lottery.seed else None,
            drawn_at=lottery.drawn_at,
        )
