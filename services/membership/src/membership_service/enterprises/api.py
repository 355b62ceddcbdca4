"""Routes of the register of employers."""

from uuid import UUID

from fastapi import Response, status

from membership_service.enterprises import repository, use_cases
from membership_service.enterprises.schemas import (
    EnterpriseView,
    Rates,
    RateView,
    RegisterEnterprise,
    SearchEnterprises,
    UpdateEnterprise,
)
from membership_service.organisations import repository as organisations
from shared.security.acting import By
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.conditional import IfMatch, set_etag
from shared.web.idempotency import Idempotent
from shared.web.paging import Page, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read, Write

router = api_router("/api/v1/enterprises", "enterprises")
rates_router = api_router("/api/v1/organisations", "enterprises")


@router.post("", status_code=status.HTTP_201_CREATED)
async def register_enterprise(
    body: RegisterEnterprise,
    _key: Idempotent,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    response: Response,
) -> EnterpriseView:
    """Enter an employer into the register."""
    enterprise = await use_cases.register(
        session,
        caller,
        By.caller(caller, clock.now()),
        credit_code=body.credit_code,
        particulars=body.particulars(),
        area_id=body.area_id,
        organisation_id=body.organisation_id,
    )
    set_etag(response, enterprise.version)
    return EnterpriseView.of(enterprise)


@router.post("/search")
async def search_enterprises(
    body: SearchEnterprises, session: Read, caller: CurrentCaller, ring: Keys
) -> Page[EnterpriseView]:
    """Employers of a subtree, all or by name or credit code."""
    top = await organisations.get(session, body.within)
    caller.require(Action.ENTERPRISE_READ, top.path)
    purpose = f"enterprises:{top.id}:{body.words}"
    after = body.page.after(ring, purpose)
    found = await repository.search(
        session, top.path, body.words, (after[0], UUID(after[1])) if after else None, body.limit + 1
    )
    rows, cursor = page_of(found, body.limit, ring, purpose, lambda row: [row.path, str(row.id)])
    return Page(items=[EnterpriseView.of(row) for row in rows], next_cursor=cursor)


@router.get("/{enterprise_id}")
async def get_enterprise(
    enterprise_id: UUID, session: Read, caller: CurrentCaller, response: Response
) -> EnterpriseView:
    """An employer."""
    enterprise = await repository.get(session, enterprise_id)
    caller.require(Action.ENTERPRISE_READ, enterprise.path)
    set_etag(response, enterprise.version)
    return EnterpriseView.of(enterprise)


@router.put("/{enterprise_id}")
async def update_enterprise(
    enterprise_id: UUID,
    body: UpdateEnterprise,
    version: IfMatch,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    response: Response,
) -> EnterpriseView:
    """Take over a later report."""
    enterprise = await use_cases.update(
        session,
        caller,
        By.caller(caller, clock.now()),
        enterprise_id,
        version,
        particulars=body.particulars(),
        area_id=body.area_id,
        organisation_id=body.organisation_id,
    )
    set_etag(response, enterprise.version)
    return EnterpriseView.of(enterprise)


@rates_router.get("/{organisation_id}/rates")
async def get_rates(organisation_id: UUID, session: Read, caller: CurrentCaller) -> Rates:
    """Formation and membership rate of a unit with all below it, as of now."""
    top = await organisations.get(session, organisation_id)
    caller.require(Action.ENTERPRISE_READ, top.path)
    formation = await repository.formation_rate(session, top.path)
    membership = await repository.membership_rate(session, top.path)
    return Rates(formation=RateView.of(formation), membership=RateView.of(membership))
