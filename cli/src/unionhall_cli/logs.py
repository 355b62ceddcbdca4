"""`unionhall logs [PROCESS] [-f]`: what the processes of the local stack write."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from local_stack.layout import Layout
from unionhall_cli.options import Json
from unionhall_cli.output import both, give_up, show_line


def logs(
    process: Annotated[
        str | None, typer.Argument(help=both("进程名，默认全部", "name of a process; all by default"))
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help=both("持续输出", "go on as lines come"))
    ] = False,
    lines: Annotated[
        int,
        typer.Option(
            "--lines", "-n", min=0, help=both("各显示最后几行", "how many of the last lines of each")
        ),
    ] = 40,
    as_json: Json = False,
) -> None:
    """Each line begins with the name of its process, unless one is named."""
    folder = Layout.default().logs
    known = sorted(path.stem for path in folder.glob("*.log"))
    if process is not None and process not in known:
        give_up("no-such-log", name=process, known=", ".join(known) or "–")
    chosen = [folder / f"{name}.log" for name in ([process] if process else known)]

    def show(path: Path, line: str) -> None:
        if as_json:
            show_line({"process": path.stem, "line": line})
        else:
            typer.echo(line if process else f"{path.stem:<18} {line}")

    ends = {}
    for path in chosen:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in deque(file, maxlen=lines):
                show(path, line.rstrip("\n"))
            ends[path] = file.tell()
    while follow:
        for path in chosen:
            for line in _new_lines(path, ends):
                show(path, line)
        time.sleep(0.3)


def _new_lines(path: Path, ends: dict[Path, int]) -> Iterator[str]:
    """Whole lines that came since; a log that was put aside is read from its beginning."""
    if not path.exists():
        return
    if path.stat().st_size < ends[path]:
        ends[path] = 0
    with path.open("rb") as file:
        file.seek(ends[path])
        while (line := file.readline()).endswith(b"\n"):
            ends[path] = file.tell()
            yield line.decode(errors="replace").rstrip("\n")
