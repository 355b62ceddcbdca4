"""Bodies of requests and replies about employers."""

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from membership_service.enterprises.domain import Enterprise, Ownership, Particulars, Rate
from membership_service.organisations.schemas import Name
from shared.web.body import Body
from shared.web.paging import PageBody

Heads = Annotated[int, Field(ge=0, le=5_000_000)]


class UpdateEnterprise(Body):
    """The whole report: what is not sent is not known. `organisation_id` is the unit that serves the employer."""

    name: Name
    industry: Name
    ownership: Ownership
    headcount: Heads
    women: Heads
    migrant_workers: Heads
    dispatched_workers: Heads
    unionised: bool
    verified_on: date
    area_id: Annotated[UUID, Field(description="the unit in whose area the employer lies")]
    organisation_id: UUID | None = None

    def particulars(self) -> Particulars:
        """What is reported, apart from where the employer stands."""
        return Particulars(**self.model_dump(include=set(Particulars.__slots__)))


class RegisterEnterprise(UpdateEnterprise):
    """A new entry."""

    credit_code: Annotated[str, StringConstraints(min_length=18, max_length=32)]


class SearchEnterprises(PageBody):
    """Employers of a subtree, all or by part of the name or the whole credit code."""

    within: UUID
    words: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)] | None = (
        None
    )


class EnterpriseView(BaseModel):
    """An employer."""

    id: UUID
    credit_code: str
    name: str
    industry: str
    ownership: Ownership
    headcount: int
    women: int
    migrant_workers: int
    dispatched_workers: int
    unionised: bool
    verified_on: date
    area_id: UUID
    organisation_id: UUID | None
    version: int

    @classmethod
    def of(cls, enterprise: Enterprise) -> Self:
        """As it stands."""
        return cls.model_validate(enterprise, from_attributes=True)


class RateView(BaseModel):
    """A rate with what it was made of; `value` is null while there is nothing to compare with."""

    numerator: int
    denominator: int
    value: float | None

    @classmethod
    def of(cls, rate: Rate) -> Self:
        """For the reply."""
        return cls(numerator=rate.numerator, denominator=rate.denominator, value=rate.value)


class Rates(BaseModel):
    """建会率 and 入会率 of a subtree."""

    formation: RateView
    membership: RateView
