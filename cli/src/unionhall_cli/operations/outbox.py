"""`unionhall outbox status`: events that are committed and not yet sent."""

from dataclasses import asdict
from typing import Any

from shared.database.scope import Scope
from shared.messaging.outbox import outbox_status
from unionhall_cli.operations import services
from unionhall_cli.options import Json, group
from unionhall_cli.output import both, show_json, show_table

app = group("待发送的事件（发件箱）", "Events to be sent")

_COLUMNS = ("service", "backlog", "oldest_age_seconds", "retained", "leader", "sent_until")


@app.callback()
def outbox() -> None:
    """Keeps `status` a word of its own, though it is the only one."""


@app.command(help=both("各服务发件箱的状态", "How the outbox of each service stands"))
def status(as_json: Json = False) -> None:
    """Backlog, its age, and whether a relay leads."""
    found = services.do(statuses())
    if as_json:
        show_json(found)
    else:
        headings = [
            "column-service",
            "column-backlog",
            "column-oldest",
            "column-retained",
            "column-leader",
            "column-sent-until",
        ]
        show_table(headings, [[one[name] for name in _COLUMNS] for one in found])


async def statuses() -> list[dict[str, Any]]:
    """The outbox of every service."""
    found = []
    for service in services.names():
        async with services.database(service) as database, database.read(Scope.everything()) as session:
            found.append({"service": service} | asdict(await outbox_status(session)))
    return found
