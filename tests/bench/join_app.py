"""The real membership service with two routes more, which do nothing: what joining over HTTP is measured against.

Both take the same body and give the same reply through the same middleware; `signed` also knows its caller.
"""

from fastapi import Response, status

from membership_service.app import build
from membership_service.members.schemas import ApplicationBody, ApplicationReply
from membership_service.settings import Settings
from shared.contracts.membership import MemberStatus
from shared.kernel.ids import new_id
from shared.settings import HTTP_NEEDS, load
from shared.web.app import serve
from shared.web.caller import CurrentCaller
from shared.web.routing import api_router

router = api_router("/bench", "bench")


def _reply(body: ApplicationBody) -> Response:
    reply = ApplicationReply(
        id=new_id(), organisation_id=body.organisation_id, status=MemberStatus.APPLIED, version=1
    )
    return Response(reply.model_dump_json(), status.HTTP_201_CREATED, media_type="application/json")


@router.post("/nothing", status_code=status.HTTP_201_CREATED, response_model=ApplicationReply)
async def nothing(body: ApplicationBody) -> Response:
    """Do nothing."""
    return _reply(body)


@router.post("/signed", status_code=status.HTTP_201_CREATED, response_model=ApplicationReply)
async def signed(body: ApplicationBody, _caller: CurrentCaller) -> Response:
    """Do nothing for somebody who is signed in."""
    return _reply(body)


if __name__ == "__main__":
    settings = load(Settings, *HTTP_NEEDS)
    app = build(settings)
    app.include_router(router)
    serve(app, settings, "membership")
