"""Bodies of requests and replies about feedback."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from events_service.feedback.domain import MAX_COMMENT, Summary
from shared.contracts.events_service import Score
from shared.web.body import Body


class FeedbackBody(Body):
    """How it was: 1 (poor) to 5, and why."""

    score: Annotated[Score, Field(strict=True)]
    comment: Annotated[str, StringConstraints(max_length=MAX_COMMENT, strip_whitespace=True)] | None = None


class FeedbackReply(BaseModel):
    """What was said, as its author sees it."""

    registration_id: UUID
    score: int
    comment: str | None
    given_at: datetime
    changed_at: datetime


class SummaryReply(BaseModel):
    """The figures of an activity. `suppressed`: fewer than five answered, so no figure of theirs is shown."""

    attended: int
    answered: int | None
    mean: float | None
    distribution: dict[int, int] | None
    suppressed: bool

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """As it stands."""
        return cls(**summary._asdict(), suppressed=summary.is_suppressed)


class CommentReply(BaseModel):
    """A comment, of nobody in particular."""

    id: UUID
    comment: str
