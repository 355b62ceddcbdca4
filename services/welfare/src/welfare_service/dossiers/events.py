"""A step of a dossier as the event that other services read."""

from typing import Final

from shared.contracts import welfare as contract
from shared.contracts.envelope import Event
from shared.contracts.welfare import DossierEvent, DossierState, HardshipClass
from shared.messaging.publication import publication
from welfare_service.dossiers.domain import Dossier, Happening, HistoryEntry

#: All other happenings are a change.
_TYPES: Final[dict[Happening, type[DossierEvent]]] = {
    Happening.DRAFTED: contract.DossierDrafted,
    Happening.CLASSIFIED: contract.DossierClassified,
    Happening.CLOSED: contract.DossierClosed,
}


def state_of(dossier: Dossier) -> DossierState:
    """The public state: ids, status and class; nothing of why, and of nobody who is no member."""
    return DossierState(
        dossier_id=dossier.id,
        organisation_id=dossier.organisation_id,
        status=dossier.status,
        hardship_class=dossier.hardship_class,
        member_ids=dossier.member_ids,
        classified_on=dossier.classified_on,
    )


def event_of(dossier: Dossier, entry: HistoryEntry, previous_class: HardshipClass | None = None) -> Event:
    """The one event of the version that `entry` made; a classification names the class before."""
    other = {} if previous_class is None else {"previous_class": previous_class}
    kind = _TYPES.get(entry.happening, contract.DossierChanged)
    data = kind.model_validate({"on": entry.on_date, "state": state_of(dossier), **other})
    return publication(data, dossier.id, entry.version, entry.happened_at)
