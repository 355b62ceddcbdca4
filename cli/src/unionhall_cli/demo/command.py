"""`unionhall demo`: starts what is not running, loads what is missing, says where to go."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from local_stack import control, elsewhere
from local_stack.layout import Layout
from local_stack.state import StackStatus, Step
from local_stack.users import PASSWORD, demo_users
from shared.kernel import texts
from shared.kernel.clock import china_date
from unionhall_cli.demo import loading, places, roster
from unionhall_cli.demo.places import SCALES, Scale, Unit
from unionhall_cli.options import Json
from unionhall_cli.output import (
    both,
    complaints,
    console,
    language,
    say,
    show_json,
    show_table,
    words,
)

texts.register("local_stack")
texts.register("unionhall_cli.demo")


@dataclass(frozen=True)
class Material:
    """What is loaded: the units, the file of the roster, and how many members of each unit it brings."""

    units: list[Unit]
    path: Path
    members: Counter[str]


HELP = both(
    "启动全部并载入虚构的示例省总工会，可重复运行",
    "Start everything and load a made-up federation; may be repeated",
)


def demo(
    scale: Annotated[
        str,
        typer.Option(
            help=both("规模：small、large（一百万会员）或 tiny", "small, large (a million members) or tiny")
        ),
    ] = "small",
    seed: Annotated[int, typer.Option(help=both("虚构人物的随机种子", "seed of the made-up people"))] = 1,
    as_json: Json = False,
) -> None:
    """What is there already is left as it is."""
    chosen = SCALES.get(scale)
    if chosen is None:
        raise typer.BadParameter(both(f"只能是 {', '.join(SCALES)}", f"one of {', '.join(SCALES)}"))
    began = time.monotonic()
    with _steps() as steps, ThreadPoolExecutor(1) as aside:
        # The first time, Python writes the roster while the services start; later it is most likely not needed.
        early = None if _file_of(chosen).exists() else aside.submit(_write, chosen, seed, steps)

        def material() -> Material:
            return (early or aside.submit(_write, chosen, seed, steps)).result()

        stack = _up(steps)
        page = _load(stack, chosen, seed, material, steps) | {"seconds": round(time.monotonic() - began, 1)}
    show_json(page) if as_json else _show(page)


class Steps:
    """The bars on the terminal, one for each step. They go to standard error: `--json` leaves standard output to programs."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, code: str, **params: str | int) -> TaskID:
        """A new bar; without a total it only turns."""
        return self._progress.add_task(words(code, **params), total=None)

    def show(self, task: TaskID, done: float, total: float) -> None:
        """Move a bar."""
        self._progress.update(task, completed=done, total=total)

    def end(self, task: TaskID) -> None:
        """Fill a bar."""
        self._progress.update(task, completed=1, total=1)

    def tell(self, step: Step) -> None:
        """A line above the bars."""
        self._progress.console.print(f"  {words(step.code, **step.params)}", style="dim", highlight=False)


@contextmanager
def _steps() -> Iterator[Steps]:
    """The bars, for a while."""
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=complaints) as progress:
        yield Steps(progress)


def _up(steps: Steps) -> StackStatus:
    task = steps.start("demo-starting")
    stack = control.up(on_step=steps.tell)
    steps.end(task)
    return stack


def _write(scale: Scale, seed: int, steps: Steps) -> Material:
    """Write the roster."""
    units = places.units(scale)
    unions = [unit for unit in units if unit.weight]
    path = _file_of(scale)
    path.parent.mkdir(parents=True, exist_ok=True)
    members: Counter[str] = Counter()
    task = steps.start("demo-writing", rows=scale.members + scale.spoilt_rows)

    def counted() -> Iterator[roster.Row]:
        for number, row in enumerate(roster.rows(scale, unions, seed, _today())):
            if not row.fault:
                members[str(row.cells["工会组织编码"])] += 1
            if number % 1_000 == 0:
                steps.show(task, number, scale.members)
            yield row

    # Under its own name only when it is whole: a file that is there is not written again at once.
    fresh = path.with_stem(f"{path.stem}-new")
    roster.write(fresh, counted())
    fresh.replace(path)
    steps.end(task)
    return Material(units, path, members)


def _load(
    stack: StackStatus, scale: Scale, seed: int, material: Callable[[], Material], steps: Steps
) -> dict[str, Any]:
    top = loading.top_unit()
    imported = loading.roster_of(top, scale) if top else None
    if imported is None or imported["state"] != "applied":
        top, imported = _import(stack, scale, top, imported, material(), steps)
    assert top is not None  # noqa: S101 - there is an import below it
    members = imported["created"] + imported["updated"] + imported["unchanged"] - imported["undone"]
    task = steps.start("demo-viewing")
    shown = loading.await_view(top, members, lambda done, total: steps.show(task, done, total))
    steps.end(task)
    return {
        "gateway": stack.gateway,
        "organisation": top,
        "organisations": scale.organisations,
        "members": shown,
        "roster": imported["id"],
        "rejected": imported["rejected"],
        "file": str(_file_of(scale)),
        **_live(scale, top, imported, seed, steps),
        "users": [
            {
                "username": user.username,
                "password": PASSWORD,
                "name": {"zh-CN": user.zh, "en": user.en},
                "role": user.role or None,
                "organisation": user.organisation or None,
            }
            for user in demo_users()
        ],
    }


def _live(scale: Scale, top: str, imported: dict[str, Any], seed: int, steps: Steps) -> dict[str, Any]:
    """Aid and activities, on the roster as it was written."""
    # Only here so much is asked at once: the other verbs start without the client for it.
    from unionhall_cli.demo import aid, life  # noqa: PLC0415

    units = places.units(scale)
    ids = {**loading.unit_ids(top, {unit.code for unit in units}), places.TOP_CODE: top}
    bars = [steps.start(f"demo-{name}") for name in ("dossiers", "cases", "activities")]
    tells = [partial(steps.show, bar) for bar in bars]
    written_on = china_date(datetime.fromisoformat(imported["uploaded_at"]))
    unions = [unit for unit in units if unit.weight]
    done = life.load(scale, unions, aid.Frame(ids, _today(), seed), written_on, life.Bars(*tells))
    for bar in bars:
        steps.end(bar)
    return done


def _import(
    stack: StackStatus,
    scale: Scale,
    top: str | None,
    imported: dict[str, Any] | None,
    material: Material,
    steps: Steps,
) -> tuple[str, dict[str, Any]]:
    """Found the units, grant the posts, hand in the roster, register the employers, apply the roster."""
    task = steps.start("demo-founding", units=len(material.units))
    top = top or loading.bootstrap(stack.issuer)
    today = _today()
    loading.import_units(top, roster.units_sheet(material.units))
    units = {**loading.unit_ids(top, {unit.code for unit in material.units}), places.TOP_CODE: top}
    loading.grant_posts(top, stack.issuer, units, today)
    steps.end(task)
    if imported is None:
        task = steps.start("demo-uploading")
        imported = loading.upload(top, material.path)
        steps.end(task)
    employers = places.employers(scale, material.units, material.members, seed=0)
    task = steps.start("demo-employers")
    loading.register_employers(
        top, employers, units, today, lambda done, total: steps.show(task, done, total)
    )
    task = steps.start("demo-importing")
    return top, loading.finish_roster(imported, scale, lambda done, total: steps.show(task, done, total))


def _file_of(scale: Scale) -> Path:
    return Layout.default().root / "demo" / scale.file_name


def _today() -> date:
    return china_date(datetime.now(UTC))


def _show(page: dict[str, Any]) -> None:
    console.print()
    counts = ("organisations", "members", "rejected", "dossiers", "cases", "activities", "seconds")
    say("demo-ready", **{name: page[name] for name in counts})
    there = elsewhere.installation() is not None
    gateway = elsewhere.page() if there else page["gateway"]
    say("demo-page", gateway=gateway)
    show_table(
        ("demo-user-name", "demo-user-post", "demo-user-place"),
        [(user["username"], user["name"][language()], user["organisation"]) for user in page["users"]],
    )
    say("demo-passwords", password=PASSWORD)
    say("demo-try")
    here = "unionhall" if shutil.which("unionhall") else ".venv/bin/unionhall"
    command = elsewhere.COMMAND if there else here
    say("demo-try-case", case=page["try"]["case"], command=command)
    say("demo-try-activity", activity=page["try"]["activity"], gateway=gateway, command=command)
    if there:
        # Files stay in its container, and its processes are the engine's to kill.
        say("demo-stop-elsewhere")
        return
    say("demo-try-errors", roster=page["roster"], command=command)
    say("demo-stop", file=page["file"])
