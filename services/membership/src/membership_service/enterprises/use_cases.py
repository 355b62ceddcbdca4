"""What one can do with the register of employers."""

from uuid import UUID

from membership_service.enterprises import events, repository
from membership_service.enterprises.domain import Enterprise, Particulars, Place
from membership_service.organisations import repository as organisations
from shared.database.session import WriteSession
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version


async def register(
    session: WriteSession,
    caller: Caller,
    by: By,
    *,
    credit_code: str,
    particulars: Particulars,
    area_id: UUID,
    organisation_id: UUID | None,
) -> Enterprise:
    """Enter an employer into the register."""
    enterprise = Enterprise.register(
        enterprise_id=new_id(),
        credit_code=credit_code,
        particulars=particulars,
        place=await _place(session, caller, area_id, organisation_id, known_area_id=None),
        today=by.today,
    )
    await repository.add(session, enterprise)
    session.emit(events.registered(enterprise, by.at))
    session.audit("enterprise.registered", "enterprise", enterprise.id, path=enterprise.path)
    return enterprise


async def update(
    session: WriteSession,
    caller: Caller,
    by: By,
    enterprise_id: UUID,
    version: int,
    *,
    particulars: Particulars,
    area_id: UUID,
    organisation_id: UUID | None,
) -> Enterprise:
    """Take over a later report on an employer.

    Units are held before the employer is locked, in the order of a move, which would otherwise wait for us while we wait for it.
    """
    known = await repository.get(session, enterprise_id)
    place = await _place(session, caller, area_id, organisation_id, known_area_id=known.area_id)
    enterprise = await repository.get_for_change(session, enterprise_id)
    caller.require(Action.ENTERPRISE_CHANGE, enterprise.path)
    require_version(version, enterprise.version)
    enterprise.update(particulars, place, by.today)
    session.emit(events.updated(enterprise, by.at))
    session.audit("enterprise.updated", "enterprise", enterprise.id, path=enterprise.path)
    return enterprise


async def _place(
    session: WriteSession,
    caller: Caller,
    area_id: UUID,
    organisation_id: UUID | None,
    known_area_id: UUID | None,
) -> Place:
    """Hold the units that the employer is to stand on; the caller must have the say at the nearer one.

    Who serves an employer may report on it without seeing the unit of its area, as long as the area stays the same.
    """
    if organisation_id is None:
        area = await organisations.get_to_stand_on(session, area_id)
        area.must_stand()
        caller.require(Action.ENTERPRISE_CHANGE, area.path)
        return Place(area.id, None, area.path)
    serving = await organisations.get_to_stand_on(session, organisation_id)
    serving.must_stand()
    caller.require(Action.ENTERPRISE_CHANGE, serving.path)
    if area_id != known_area_id:
        (await organisations.get_to_stand_on(session, area_id)).must_stand()
    return Place(area_id, serving.id, serving.path)
