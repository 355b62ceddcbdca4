"""A programme as the events that other services read."""

from shared.contracts.envelope import Event
from shared.contracts.welfare import ProgrammeChanged, ProgrammeOpened, ProgrammeState
from shared.messaging.publication import publication
from welfare_service.programmes.domain import Programme


def event_of(programme: Programme, budget_fen: int) -> Event:
    """The one event of the programme's present version; `budget_fen` is what its budget may spend in all."""
    state = ProgrammeState(
        programme_id=programme.id,
        organisation_id=programme.organisation_id,
        name=programme.name,
        kind=programme.kind,
        budget_fen=budget_fen,
        starts_on=programme.starts_on,
        ends_on=programme.ends_on,
    )
    kind = ProgrammeOpened if programme.version == 1 else ProgrammeChanged
    return publication(kind(state=state), programme.id, programme.version, programme.updated_at)
