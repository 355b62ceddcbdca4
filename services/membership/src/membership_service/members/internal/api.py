"""Internal routes about members. Thin: parse, call one use case, show."""

from membership_service.members import sealing
from membership_service.members.internal import use_cases
from membership_service.members.internal.schemas import (
    DetailItem,
    DetailsReply,
    DocumentBody,
    FoundReply,
    IdsBody,
)
from membership_service.members.internal.work import work_of
from shared.security.acting import By
from shared.web.caller import CurrentCaller
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read, Write
from shared.web.work import WorkList

router = api_router("/internal/v1/members", "internal")
work_router = api_router("/internal/v1/work", "internal")


@router.post("/by-document")
async def find_by_document(
    body: DocumentBody, session: Write, caller: CurrentCaller, ring: Keys, clock: CurrentClock
) -> FoundReply:
    """The member with a document, so that a dossier names the same person once."""
    by = By.caller(caller, clock.now())
    member = await use_cases.find_by_document(
        session, caller, by, ring, body.document_type, body.document_number
    )
    if member is None:
        return FoundReply(member_id=None, sequence=None)
    return FoundReply(member_id=member.id, sequence=member.version)


@router.post("/details")
async def details(body: IdsBody, session: Write, caller: CurrentCaller, ring: Keys) -> DetailsReply:
    """Names, numbers and days of birth by id, of members in the caller's charge."""
    items = []
    for member in await use_cases.details(session, caller, body.ids):
        opened = sealing.opened(ring, member) if use_cases.may_see_birth_date(caller, member.path) else None
        items.append(
            DetailItem(
                id=member.id,
                name=member.name,
                member_number=member.member_number,
                birth_date=opened.birth_date if opened else None,
                status=member.status,
                organisation_id=member.organisation_id,
                version=member.version,
            )
        )
    return DetailsReply(items=items)


@work_router.get("")
async def work(session: Read, caller: CurrentCaller) -> WorkList:
    """What waits for the caller in membership."""
    return await work_of(session, caller)
