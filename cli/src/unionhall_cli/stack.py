"""`unionhall up | down | status | doctor | logs | token`: the local stack."""

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from local_stack import control
from local_stack.plan import SERVICES
from local_stack.state import ProcessStatus, StackStatus, Step
from unionhall_cli import doctor, federation
from unionhall_cli.logs import logs
from unionhall_cli.options import Json
from unionhall_cli.output import both, console, say, show_json, show_table, words


def register(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    app.command(help=both("启动本地环境", "Start the local stack"))(up)
    app.command(help=both("停止本地环境", "Stop the local stack"))(down)
    app.command(help=both("本地环境的状态", "What runs, and where"))(status)
    app.command(
        help=both("检查本机和本地环境，并说明如何处理", "Look for what is wrong, and say what to do")
    )(doctor.doctor)
    app.command(help=both("查看日志", "Show logs"))(logs)
    app.command(help=both("演示用户的令牌", "A bearer token of a demo user"))(token)


def up(as_json: Json = False) -> None:
    """Start, or find it running."""
    found = start(quiet=as_json)
    if as_json:
        show_json(document(found))
    else:
        _show(found)


def start(*, quiet: bool = False) -> StackStatus:
    """Start the local stack with a line for every step; returns when all of it is ready."""
    if quiet:
        return control.up()
    with console.status(words("starting")) as waiting:

        def heard(step: Step) -> None:
            console.print(
                f"[dim]{step.seconds:5.1f} s[/dim]  {words(step.code, **step.params)}", highlight=False
            )
            waiting.update(words("starting"))

        return control.up(on_step=heard)


def down(as_json: Json = False) -> None:
    """Stop all of it; the data stays."""
    stopped = control.down()
    if as_json:
        show_json({"stopped": stopped})
    else:
        say("stack-stopped" if stopped else "nothing-runs")


def status(as_json: Json = False) -> None:
    """Exit code 1 unless all of it runs and is ready."""
    found = control.status()
    shown = document(found)
    if as_json:
        show_json(shown)
    else:
        _show(found, shown)
    if found.phase != "running" or not shown["ready"]:
        raise typer.Exit(1)


def document(found: StackStatus) -> dict[str, Any]:
    """The state as JSON, the gateway first, with what each process says of its readiness."""
    processes = [asdict(process) | _readiness(process) for process in found.processes]
    ready = found.phase == "running" and all(process["ready"] for process in processes)
    kept = {name: value for name, value in asdict(found).items() if name not in {"steps", "supervisor"}}
    return kept | {"error": _error(found), "ready": ready, "processes": processes}


def _error(found: StackStatus) -> str:
    """Why the last start failed, in the terminal's language; empty when it did not."""
    return words(found.error.code, **found.error.params) if found.error else ""


def _readiness(process: ProcessStatus) -> dict[str, Any]:
    """`ready` and the reasons why not. Servers that are not ours are ready when they run."""
    running = process.state == "running"
    if not running or process.port is None or process.name.split("-")[0] not in SERVICES:
        return {"ready": running, "reasons": []}
    reasons = doctor.reasons_of(process.port)
    return {"ready": not reasons, "reasons": reasons}


def _show(found: StackStatus, shown: dict[str, Any] | None = None) -> None:
    say(f"phase-{found.phase}", url=found.gateway, root=found.root)
    if found.error:
        console.print(_error(found), highlight=False, markup=False)
    if found.phase != "running":
        return
    shown = shown or document(found)
    rows = [
        (
            process["name"],
            words(f"process-{process['state']}"),
            "✓" if process["ready"] else "✗ " + "; ".join(process["reasons"]),
            process["port"],
            process["pid"],
            process["restarts"],
            _ago(process["since"]),
        )
        for process in shown["processes"]
    ]
    show_table(
        ["column-process", "column-state", "column-ready", "column-port", "column-pid", "column-restarts",
         "column-since"],
        rows,
    )  # fmt: skip


def _ago(since: float) -> str:
    seconds = max(0, int(time.time() - since))
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def token(
    user: Annotated[str, typer.Option("--user", "-u", help=both("演示用户名", "name of a demo user"))],
    as_json: Json = False,
) -> None:
    """For other programs: `curl -H "Authorization: Bearer $(unionhall token --user auditor)" …`."""
    bearer = federation.token(user)
    if as_json:
        show_json({"user": user, "access_token": bearer, "token_type": "Bearer"})
    else:
        typer.echo(bearer)
