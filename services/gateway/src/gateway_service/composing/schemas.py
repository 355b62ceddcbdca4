"""What every composed answer says about what is not in it."""

from pydantic import BaseModel, Field


class MissingPart(BaseModel):
    """A part that could not be had from its owner. `text` is in the reader's language."""

    part: str
    service: str
    code: str = Field(
        description="owner-down, owner-slow, owner-busy, owner-failed, owner-unreadable, part-not-allowed or part-not-found"
    )
    text: str
