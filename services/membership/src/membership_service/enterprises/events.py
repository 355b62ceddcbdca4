"""What the world learns of employers: domain → contract."""

from datetime import datetime

from membership_service.enterprises.domain import Enterprise
from shared.contracts.envelope import Event
from shared.contracts.membership import EnterpriseRegistered, EnterpriseState, EnterpriseUpdated
from shared.messaging.publication import publication


def registered(enterprise: Enterprise, at: datetime) -> Event:
    """An employer entered the register."""
    return publication(EnterpriseRegistered(state=_state(enterprise)), enterprise.id, enterprise.version, at)


def updated(enterprise: Enterprise, at: datetime) -> Event:
    """Its figures, name or serving unit changed."""
    return publication(EnterpriseUpdated(state=_state(enterprise)), enterprise.id, enterprise.version, at)


def _state(enterprise: Enterprise) -> EnterpriseState:
    return EnterpriseState(
        enterprise_id=enterprise.id,
        organisation_id=enterprise.organisation_id,
        name=enterprise.name,
        credit_code=enterprise.credit_code,
        unionised=enterprise.unionised,
        headcount=enterprise.headcount,
        women=enterprise.women,
        migrant_workers=enterprise.migrant_workers,
        dispatched_workers=enterprise.dispatched_workers,
    )
