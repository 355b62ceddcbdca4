"""Bodies of requests and replies about posts."""

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from membership_service.organisations.schemas import OrganisationView
from membership_service.posts.domain import Post
from shared.contracts.membership import Role
from shared.web.body import Body

Subject = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class GrantPost(Body):
    """Who gets which role where, from when until when. `issuer` and `subject` name a user of the identity provider."""

    organisation_id: UUID
    issuer: Subject
    subject: Subject
    role: Role
    starts_on: date
    ends_on: Annotated[date | None, Field(description="last day; without it, until further notice")] = None


class EndPost(Body):
    """The last day on which the post holds; without it, it ends at once."""

    ends_on: date | None = None


class PostView(BaseModel):
    """A post."""

    id: UUID
    issuer: str
    subject: str
    role: Role
    organisation_id: UUID
    starts_on: date
    ends_on: date | None
    version: int

    @classmethod
    def of(cls, post: Post) -> Self:
        """As it stands."""
        return cls.model_validate(post, from_attributes=True)


class OwnPost(BaseModel):
    """A role that the caller holds today, with the unit at which it holds."""

    role: Role
    organisation: OrganisationView


class Me(BaseModel):
    """Who the caller is, and what he may do where."""

    issuer: str
    subject: str
    posts: list[OwnPost]
