"""What a route needs that takes one step with one aggregate: one dependency instead of six."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Response

from shared.database.session import WriteSession
from shared.security.acting import By
from shared.security.keys import KeyRing
from shared.security.policy import Caller
from shared.web.caller import CurrentCaller
from shared.web.conditional import IfMatch, set_etag
from shared.web.session import CurrentClock, Keys, Write


@dataclass(frozen=True, slots=True)
class ChangeCall:
    """The request's transaction, who asks and when, and the `version` that If-Match says was read."""

    session: WriteSession
    caller: Caller
    by: By
    version: int
    ring: KeyRing
    response: Response

    def leaves(self, version: int) -> None:
        """Say in the reply which version the aggregate has now."""
        set_etag(self.response, version)


async def change_call(
    session: Write,
    caller: CurrentCaller,
    clock: CurrentClock,
    version: IfMatch,
    ring: Keys,
    response: Response,
) -> ChangeCall:
    """The request's part of a change."""
    return ChangeCall(session, caller, By.caller(caller, clock.now()), version, ring, response)


Change = Annotated[ChangeCall, Depends(change_call, scope="function")]
