"""What a route needs that changes something: one dependency instead of six."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Response

from shared.database.session import WriteSession
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Caller
from shared.web.caller import CurrentCaller
from shared.web.conditional import IfMatch, set_etag
from shared.web.idempotency import Idempotent
from shared.web.session import CurrentClock, Keys, Write


@dataclass(frozen=True, slots=True)
class Call:
    """The request's transaction, who asks and when."""

    session: WriteSession
    caller: Caller
    by: By
    ring: KeyRing
    response: Response

    def leaves(self, version: int) -> None:
        """Say in the reply which version the aggregate has now."""
        set_etag(self.response, version)


@dataclass(frozen=True, slots=True)
class ChangeCall(Call):
    """A step with one aggregate, whose `version` If-Match says was read."""

    version: int


async def once_call(
    _key: Idempotent,
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    ring: Keys,
    response: Response,
) -> Call:
    """The request's part of what creates or pays."""
    return Call(session, caller, By.caller(caller, clock.now()), ring, response)


async def change_call(
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    version: IfMatch,
    ring: Keys,
    response: Response,
) -> ChangeCall:
    """The request's part of a change."""
    return ChangeCall(session, caller, By.caller(caller, clock.now()), ring, response, version)


#: On a POST that creates or pays: done once, however often it comes under its key.
Once = Annotated[Call, Depends(once_call, scope="function")]
#: On a step of an aggregate: done to the version that was read.
Change = Annotated[ChangeCall, Depends(change_call, scope="function")]
