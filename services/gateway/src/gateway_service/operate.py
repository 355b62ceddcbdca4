"""What operators do with the views: `python -m gateway_service.operate status|rebuild|compare`, with the worker's settings.

Prints JSON. `rebuild` grows the dashboard anew in the idle slot and waits until it is live, a line of progress twice a second;
the last one tells whether the view is the same as before (invariant I7). `compare` says so again, of the two slots as they
are now.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from gateway_service.dashboard import repository
from gateway_service.dashboard.jobs import REBUILD
from gateway_service.settings import Settings
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.jobs import job_status, submit
from shared.settings import load

_ENDED = {"done", "failed", "cancelled"}


async def status(database: Database) -> dict[str, Any]:
    """How the slots stand, with the fingerprint of the live one."""
    async with database.read(Scope.everything()) as session:
        slots = await repository.slots(session)
        return slots._asdict() | {"fingerprint": await repository.fingerprint(session, slots.live)}


async def rebuild(database: Database) -> bool:
    """Ask for a rebuild and follow it to its end; whether it was switched to."""
    job_id = await submit(database, REBUILD, {})
    while True:
        async with database.read(Scope.everything()) as session:
            job = await job_status(session, job_id)
            slots = await repository.slots(session)
        state = job.state if job else "unknown"
        line = {"state": state, "built_up_to": slots.built_up_to, "newest": slots.newest, "live": slots.live}
        if state in _ENDED or job is None:
            _say(line | await compare(database))
            return state == "done"
        _say(line)
        await asyncio.sleep(0.5)


async def compare(database: Database) -> dict[str, Any]:
    """Whether both slots hold the same; `same` is null once the live one has counted more, or before the first rebuild."""
    async with database.read(Scope.everything()) as session:
        slots = await repository.slots(session)
        prints = [await repository.fingerprint(session, slot) for slot in (slots.live, 1 - slots.live)]
    comparable = slots.building is None and slots.built_up_to == slots.newest
    return {
        "same": prints[0] == prints[1] if comparable else None,
        "fingerprint": prints[0],
        "before": prints[1],
    }


async def _main(arguments: Sequence[str]) -> int:
    settings = load(Settings, "worker_database_url")
    database = Database(settings.worker_database_url, pool_size=2, application_name="gateway-operate")
    try:
        match list(arguments):
            case ["status"]:
                _say(await status(database))
            case ["compare"]:
                _say(await compare(database))
            case ["rebuild"]:
                return 0 if await rebuild(database) else 1
            case _:
                sys.exit("usage: python -m gateway_service.operate status|rebuild|compare")
    finally:
        await database.close()
    return 0


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(sys.argv[1:])))
