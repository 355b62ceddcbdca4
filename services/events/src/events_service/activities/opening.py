"""Who else is told, in the same transaction, when an activity is announced: slices that build on this one."""

from collections.abc import Awaitable, Callable
from typing import Final

from events_service.activities.domain import Activity
from shared.database.session import WriteSession
from shared.security.acting import By

Told = Callable[[WriteSession, Activity, By], Awaitable[None]]

_TOLD: Final[dict[str, Told]] = {}


def tell(name: str, told: Told) -> None:
    """Call `told` with each activity that is published: by the composition roots, each slice under its name."""
    _TOLD[name] = told


async def announce(session: WriteSession, activity: Activity, by: By) -> None:
    """Tell all of them."""
    for told in _TOLD.values():
        await told(session, activity, by)
