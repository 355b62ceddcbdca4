"""What those who were there say of an activity. Pure: no IO.

The score is a column of the registration and public by event; the comment stays here, sealed. Figures over fewer than five
answers would tell who said what, so they are not shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from shared.contracts.events_service import ActivityStage
from shared.kernel.errors import Conflict

SMALLEST_GROUP: Final = 5
MAX_COMMENT: Final = 1000
SCORES: Final = range(1, 6)


@dataclass(eq=False, kw_only=True)
class Feedback:
    """One person's answer. `id` is random, so that the order of comments tells nothing of that of registrations."""

    registration_id: UUID
    id: UUID
    activity_id: UUID
    comment_sealed: bytes | None = None
    data_key_wrapped: bytes | None = None
    key_version: int | None = None
    given_at: datetime
    changed_at: datetime


class Summary(NamedTuple):
    """Of one activity. All but `attended` is None where fewer than five answered."""

    attended: int
    answered: int | None
    mean: float | None
    distribution: dict[int, int] | None

    @property
    def is_suppressed(self) -> bool:
        """Whether there are too few answers to show any figure."""
        return self.answered is None


def must_be_open(stage: ActivityStage) -> None:
    """Raises Conflict when the activity is archived: nothing is said of it any more."""
    if stage is ActivityStage.ARCHIVED:
        raise Conflict("feedback-archived")


def summary(attended: int, scores: Mapping[int, int]) -> Summary:
    """Of how many gave each score."""
    answered = sum(scores.values())
    if answered < SMALLEST_GROUP:
        return Summary(attended, None, None, None)
    mean = sum(score * count for score, count in scores.items()) / answered
    return Summary(attended, answered, round(mean, 2), {score: scores.get(score, 0) for score in SCORES})
