"""`unionhall projection status | rebuild`: the views that the gateway feeds from events."""

import json
from typing import Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from unionhall_cli.operations import services
from unionhall_cli.options import Json, group
from unionhall_cli.output import both, complaints, give_up_with, say, show_json, show_table, words

app = group("网关的视图", "The gateway's views")

_MODULE = "gateway_service.operate"


@app.command(help=both("视图的状态", "How the views stand"))
def status(as_json: Json = False) -> None:
    """Which of the two slots is live, and how far a rebuild is."""
    ran = services.program("gateway", _MODULE, "status")
    said, complaint = ran.communicate()
    if ran.returncode:
        give_up_with(complaint.strip(), complaint.strip())
    found: dict[str, Any] = json.loads(said)
    if as_json:
        show_json(found)
    else:
        show_table(["column-field", "column-value"], found.items())


@app.command(
    help=both("在旁重建视图，完成后无缝切换", "Rebuild beside the live view, then switch without a gap")
)
def rebuild(as_json: Json = False) -> None:
    """Exit code 1 if it did not come to its end."""
    last = rebuilt(quiet=as_json)
    if as_json:
        show_json(last)
    else:
        say(
            "rebuilt" if last["state"] == "done" else "not-rebuilt",
            state=str(last["state"]),
            live=last["live"],
        )
    if last["state"] != "done":
        raise typer.Exit(1)


def rebuilt(*, quiet: bool = False) -> dict[str, Any]:
    """Rebuild with a bar; the last line of the program that does it."""
    last: dict[str, Any] = {"state": "unknown", "live": None}
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    ran = services.program("gateway", _MODULE, "rebuild")
    with Progress(*columns, console=complaints, transient=True, disable=quiet) as progress:
        bar = progress.add_task(words("rebuilding"), total=None)
        for line in ran.stdout or ():
            last = json.loads(line)
            progress.update(bar, completed=last["built_up_to"], total=max(1, last["newest"]))
    _, complaint = ran.communicate()
    if ran.returncode and last["state"] == "unknown":
        give_up_with(complaint.strip(), complaint.strip())
    return last
