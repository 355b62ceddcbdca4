"""Bodies of requests and replies about organisations."""

from datetime import date, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from membership_service.organisations.domain import (
    Chapter,
    Happening,
    Organisation,
    Plan,
    PlanKind,
    PlanState,
)
from membership_service.organisations.use_cases import MovePreview
from shared.contracts.membership import OrganisationKind
from shared.web.body import Body
from shared.web.paging import PageBody

Code = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, pattern=r"^[0-9A-Za-z][0-9A-Za-z-]{0,31}$"),
    Field(description="letters, digits and hyphens; unique in the federation"),
]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$"),
]


class CreateOrganisation(Body):
    """A new unit."""

    parent_id: UUID
    code: Code
    name: Name
    kind: OrganisationKind
    founded_on: date


class RenameOrganisation(Body):
    """The new name, the kind as it is or changed."""

    name: Name
    kind: OrganisationKind


class MoveOrganisation(Body):
    """Where to, and from which day; without a day, from today."""

    parent_id: UUID
    on: date | None = None


class DissolveOrganisation(Body):
    """Who takes over, and the day of the end; without a day, today."""

    successor_id: UUID
    on: date | None = None


class SearchOrganisations(PageBody):
    """Units of a subtree by part of the name or the beginning of the code."""

    within: UUID
    words: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class OrganisationView(BaseModel):
    """A unit."""

    id: UUID
    code: str
    name: str
    kind: OrganisationKind
    parent_id: UUID | None
    parent_since: date
    founded_on: date
    dissolved_on: date | None
    version: int

    @classmethod
    def of(cls, organisation: Organisation) -> Self:
        """As it is today."""
        return cls.model_validate(organisation, from_attributes=True)


class PlanView(BaseModel):
    """A change decided for a later day."""

    id: UUID
    organisation_id: UUID
    kind: PlanKind
    target_id: UUID
    effective_on: date
    planned_at: datetime
    state: PlanState
    refusal: str | None

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """As it stands."""
        return cls.model_validate(plan, from_attributes=True)


class ChangeView(BaseModel):
    """The unit after the request, and the plan if the change is for a later day."""

    organisation: OrganisationView
    plan: PlanView | None

    @classmethod
    def of(cls, organisation: Organisation, plan: Plan | None) -> Self:
        """What became of a move or dissolution."""
        return cls(organisation=OrganisationView.of(organisation), plan=PlanView.of(plan) if plan else None)


class MovePreviewView(BaseModel):
    """Who would move: counts by kind (the unit itself is one of the organisations), and the first units in tree order."""

    affected: dict[str, int]
    first_units: list[OrganisationView]

    @classmethod
    def of(cls, preview: MovePreview) -> Self:
        """For the reply."""
        units = [OrganisationView.of(unit) for unit in preview.first_units]
        return cls(affected=dict(preview.affected), first_units=units)


class ChapterView(BaseModel):
    """One version of a unit: what held from `valid_from` to the day before `valid_to`, and who recorded it when."""

    organisation_id: UUID
    version: int
    happening: Happening
    valid_from: date
    valid_to: date | None
    recorded_at: datetime
    recorded_subject: str
    name: str
    kind: OrganisationKind
    parent_id: UUID | None
    successor_id: UUID | None

    @classmethod
    def of(cls, chapter: Chapter) -> Self:
        """For the reply."""
        return cls.model_validate(chapter, from_attributes=True)


class OrganisationThen(BaseModel):
    """A unit as it was on a past day."""

    id: UUID
    code: str
    name: str
    kind: OrganisationKind
    parent_id: UUID | None

    @classmethod
    def of(cls, organisation: Organisation, chapter: Chapter) -> Self:
        """What held then."""
        return cls(
            id=organisation.id,
            code=organisation.code,
            name=chapter.name,
            kind=chapter.kind,
            parent_id=chapter.parent_id,
        )


class ImportedTree(BaseModel):
    """What an import of units did."""

    created: int
    unchanged: int
