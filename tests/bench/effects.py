"""How long after a member has left the case is flagged and the seat given up, all of it asked through the gateway."""

import asyncio
import time
from typing import Any, Final

from tests.bench.figures import Figure, figure, percentile
from tests.bench.ground import Ground, Size
from tests.faults import ground as faults
from tests.faults.installation import installed
from tests.faults.office import Office, opened_office
from tests.support.membership import ROOT_ADMIN
from tests.support.tokens import ISSUER

#: Seconds after which an effect has failed, and between two looks.
_PATIENCE: Final = 30.0
_LOOK: Final = 0.005


async def effects(ground: Ground, size: Size) -> list[Figure]:
    """In ms from the acknowledged withdrawal until both are seen, beside what one look takes; one member after the other."""
    standing = faults.Ground(ground.kafka, ground.databases, ground.folder, ground.postgres_url)
    try:
        async with (
            installed(standing) as here,
            opened_office(here.user, ROOT_ADMIN, ISSUER, here.root_id) as office,
        ):
            activity = await office.activity(10_000)
            await _left(office, activity)
            taken = [await _left(office, activity) for _ in range(size.of(100, 3))]
    finally:
        await standing.end()
    seen, looks = [one for one, _ in taken], [one for _, one in taken]
    return [
        figure(f"effect_p{name}_ms", "ms", [percentile(seen, part)], [percentile(looks, part)], target=target)
        for name, part, target in (("50", 0.5, None), ("99", 0.99, "value <= 1000"))
    ]


async def _left(office: Office, activity: Any) -> tuple[float, float]:
    """Milliseconds until both effects are seen, and of one look at them without anything to wait for."""
    member = await office.member()
    case = await office.case(member)
    place = await office.register(activity, member)
    await office.step("registrar", "members", member, "withdrawal", "withdrawn", reason="本人申请退会")
    began = time.perf_counter()
    while not await _is_seen(office, case, place):
        if time.perf_counter() - began > _PATIENCE:
            raise RuntimeError("an effect never came")
        await asyncio.sleep(_LOOK)
    seen = time.perf_counter()
    await _is_seen(office, case, place)
    return (seen - began) * 1000, (time.perf_counter() - seen) * 1000


async def _is_seen(office: Office, case: Any, place: Any) -> bool:
    flagged = await office.ask("officer", "GET", f"/cases/{case['id']}")
    seat = await office.ask("organiser", "GET", f"/registrations/{place['id']}")
    return bool(flagged["flagged"]) and seat["status"] == "cancelled"
