"""What the world learns of a unit's changes: domain → contract."""

from datetime import datetime
from uuid import UUID

from membership_service.organisations.domain import Organisation
from shared.contracts.envelope import Event
from shared.contracts.membership import (
    OrganisationCreated,
    OrganisationDissolved,
    OrganisationMoved,
    OrganisationRenamed,
    OrganisationState,
)
from shared.messaging.publication import publication


def created(organisation: Organisation, at: datetime) -> Event:
    """The unit joined the tree."""
    data = OrganisationCreated(state=_state(organisation))
    return publication(data, organisation.id, organisation.version, at)


def renamed(organisation: Organisation, at: datetime) -> Event:
    """The unit has another name or kind."""
    data = OrganisationRenamed(state=_state(organisation))
    return publication(data, organisation.id, organisation.version, at)


def moved(organisation: Organisation, previous_parent_id: UUID, at: datetime) -> Event:
    """The unit stands elsewhere; all below it moved along without an event of their own."""
    data = OrganisationMoved(state=_state(organisation), previous_parent_id=previous_parent_id)
    return publication(data, organisation.id, organisation.version, at)


def dissolved(organisation: Organisation, successor_id: UUID, at: datetime) -> Event:
    """The unit ended."""
    data = OrganisationDissolved(state=_state(organisation), successor_id=successor_id)
    return publication(data, organisation.id, organisation.version, at)


def _state(organisation: Organisation) -> OrganisationState:
    return OrganisationState(
        organisation_id=organisation.id,
        number=organisation.number,
        code=organisation.code,
        name=organisation.name,
        kind=organisation.kind,
        parent_id=organisation.parent_id,
        parent_since=organisation.parent_since,
        founded_on=organisation.founded_on,
        dissolved_on=organisation.dissolved_on,
    )
