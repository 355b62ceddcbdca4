"""`unionhall roster template | check | import | status | errors | undo`: rosters of members, through the public API."""

import time
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from unionhall_cli.federation import Federation, federation
from unionhall_cli.options import Json, Out, User, group
from unionhall_cli.output import (
    both,
    complaints,
    console,
    give_up,
    give_up_with,
    say,
    show_json,
    show_table,
    words,
)

ROSTERS = "/api/v1/rosters"
REGISTRAR = "registrar-province"
#: States in which a job works on the import.
_BUSY = {"checking", "applying", "undoing"}
_PAUSE = 0.2
#: Problems shown for a look; all of them are in the error workbook.
_SHOWN = 10

app = group("会员名册：模板、检查、导入、撤销", "Rosters of members: template, check, import, undo")

Unit = Annotated[
    str | None,
    typer.Option("--unit", help=both("名册所属工会组织的编码", "code of the unit whose roster it is")),
]
Full = Annotated[
    bool, typer.Option("--full", help=both("全员名册：文件以外的会员视为离开", "the file is everybody"))
]
ImportId = Annotated[UUID, typer.Argument(help=both("导入编号", "id of the import"))]


@app.command(help=both("下载空白名册模板", "Download the empty roster to fill in"))
def template(out: Out = None, user: User = REGISTRAR, as_json: Json = False) -> None:
    """An .xlsx with drop-down lists."""
    with federation(user) as api:
        _save(api, f"{ROSTERS}/template", out or Path("roster-template.xlsx"), as_json=as_json)


@app.command(help=both("上传并检查名册，不做任何更改", "Upload and check a roster; nothing changes"))
def check(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help=both("名册文件", "the roster"))],
    unit: Unit = None,
    full: Full = False,
    user: User = REGISTRAR,
    as_json: Json = False,
) -> None:
    """Exit code 1 if the file as a whole is refused; rejected rows are no failure."""
    with federation(user) as api:
        found = upload(api, file, unit, full=full, quiet=as_json)
        _report(api, found, as_json=as_json)


@app.command(
    "import",
    help=both("导入名册（文件，或已检查的导入编号）", "Import a roster: a file, or the id of a checked one"),
)
def import_roster(
    roster: Annotated[str, typer.Argument(help=both("文件或导入编号", "file, or id of a checked import"))],
    unit: Unit = None,
    full: Full = False,
    apply_left: Annotated[
        bool,
        typer.Option(
            "--apply-left",
            help=both("全员名册中没有的会员办理离会", "who is missing from a full roster leaves"),
        ),
    ] = False,
    user: User = REGISTRAR,
    as_json: Json = False,
) -> None:
    """The good rows become members, the rejected ones stay out."""
    with federation(user) as api:
        import_id = _id(roster)
        if import_id is None:
            path = Path(roster)
            if not path.is_file():
                give_up("no-such-file", name=roster)
            found = upload(api, path, unit, full=full, quiet=as_json)
        else:
            found = read(api, import_id)
        if found["state"] == "checked":
            found = apply(api, found, apply_left=apply_left, quiet=as_json)
        _report(api, found, as_json=as_json)


@app.command(help=both("导入的进度和结果", "How far imports are, and their totals"))
def status(
    import_id: Annotated[
        UUID | None, typer.Argument(help=both("导入编号，默认列出最近的", "id; the latest by default"))
    ] = None,
    unit: Unit = None,
    user: User = REGISTRAR,
    as_json: Json = False,
) -> None:
    """One import with its totals, or the latest of a unit and those below."""
    with federation(user) as api:
        if import_id is not None:
            _report(api, read(api, import_id), as_json=as_json)
            return
        found = api.get(ROSTERS, organisation=unit_id(api, unit), limit=20)["items"]
    if as_json:
        show_json(found)
        return
    show_table(
        ["column-import", "column-file", "column-state", *(f"column-{name}" for name in _COUNTS)],
        [
            (one["id"], one["file_name"], words(f"import-{one['state']}"), *(one[name] for name in _COUNTS))
            for one in found
        ],
    )


@app.command(
    help=both(
        "下载错误清单：原始行加原因，改正后可再次上传",
        "The rejected rows with reasons, to correct and upload again",
    )
)
def errors(import_id: ImportId, out: Out = None, user: User = REGISTRAR, as_json: Json = False) -> None:
    """The error workbook."""
    with federation(user) as api:
        _save(
            api,
            f"{ROSTERS}/{import_id}/errors.xlsx",
            out or Path(f"errors-{import_id}.xlsx"),
            as_json=as_json,
        )


@app.command(help=both("撤销一次导入", "Take an import back"))
def undo(
    import_id: ImportId,
    reason: Annotated[str, typer.Option("--reason", help=both("撤销原因", "why; it enters the history"))],
    user: User = REGISTRAR,
    as_json: Json = False,
) -> None:
    """Rows that changed since stay as they are."""
    with federation(user) as api:
        _step(api, read(api, import_id), "undo", {"reason": reason})
        _report(api, follow(api, import_id, quiet=as_json), as_json=as_json)


@app.command(help=both("停止一次导入", "Stop an import before its next chunk"))
def cancel(import_id: ImportId, user: User = REGISTRAR, as_json: Json = False) -> None:
    """What was applied stays, and may be undone."""
    with federation(user) as api:
        _step(api, read(api, import_id), "cancel", {})
        _report(api, follow(api, import_id, quiet=as_json), as_json=as_json)


# What the demo uses too


def unit_id(api: Federation, code: str | None) -> str:
    """The id of the unit with this code; without one, of the unit at which the user holds a post. Ends the command if none."""
    held = api.get("/api/v1/organisations")
    if not held:
        give_up("no-post", user=api.user)
    if code is None:
        return str(held[0]["id"])
    for top in held:
        if top["code"] == code:
            return str(top["id"])
    for top in held:
        found = api.post("/api/v1/organisations/search", {"within": top["id"], "words": code})
        for unit in found["items"]:
            if unit["code"] == code:
                return str(unit["id"])
    return give_up("no-such-unit", code=code)


def upload(
    api: Federation, file: Path, unit: str | None, *, full: bool = False, quiet: bool = False
) -> dict[str, Any]:
    """Upload a roster and wait until it is checked. Ends the command if the file as a whole is refused.

    `quiet` is for programs: no bar, and the refused import as JSON.
    """
    form = {"organisation_id": unit_id(api, unit), "mode": "full" if full else "add"}
    with file.open("rb") as content:
        found = api.post(ROSTERS, files={"file": (file.name, content)}, data=form)
    found = follow(api, found["id"], quiet=quiet)
    if found["refusal"]:
        if quiet:
            show_json(found)
        # The reason is in the terminal's language already.
        sentence = words("roster-refused", reason=found["refusal"]["text"])
        give_up_with(sentence, sentence)
    return found


def apply(
    api: Federation, found: dict[str, Any], *, apply_left: bool = False, quiet: bool = False
) -> dict[str, Any]:
    """Let the good rows of a checked roster become members, and wait until they are."""
    _step(api, found, "apply", {"apply_left": apply_left})
    return follow(api, found["id"], quiet=quiet)


def read(api: Federation, import_id: str | UUID) -> dict[str, Any]:
    """An import as it stands."""
    found: dict[str, Any] = api.get(f"{ROSTERS}/{import_id}")
    return found


def follow(api: Federation, import_id: str | UUID, *, quiet: bool = False) -> dict[str, Any]:
    """Wait for the running step of an import, with a bar; the import at its end. Ends the command if the step is given up."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rows]}"),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=complaints, transient=True, disable=quiet) as progress:
        bar, is_told = progress.add_task(words("import-checking"), total=1.0, rows=""), False
        while True:
            found = read(api, import_id)
            waits = [one["text"] for one in found["warnings"] if one["code"] == "roster-unattended"]
            if waits and not is_told:
                complaints.print(f"[yellow]![/yellow] {waits[0]}", highlight=False)
            is_told = bool(waits)
            progress.update(
                bar,
                completed=found["progress"],
                description=words(f"import-{found['state']}"),
                rows=words("rows-so-far", rows=found["rows"]) if found["rows"] else "",
            )
            if found["given_up"]:
                give_up("import-given-up", id=str(import_id))
            if found["state"] not in _BUSY:
                return found
            time.sleep(_PAUSE)


def _step(api: Federation, found: dict[str, Any], path: str, body: dict[str, Any]) -> None:
    """Ask for a step of the import as it was read."""
    api.post(f"{ROSTERS}/{found['id']}/{path}", body, version=found["version"])


_COUNTS = ("rows", "created", "updated", "unchanged", "rejected")


def _report(api: Federation, found: dict[str, Any], *, as_json: bool) -> None:
    """What an import came to, with its first problems; of one that was undone only what stayed."""
    problems, has_more = _problems(api, found) if found["rows"] else ([], False)
    if as_json:
        show_json(found | {"problems": problems})
        return
    state = words(f"import-{found['state']}")
    console.print(f"{found['file_name']}  [bold]{state}[/bold]  {found['id']}", highlight=False)
    if found["refusal"]:
        console.print(found["refusal"]["text"], highlight=False)
    show_table([f"column-{name}" for name in _COUNTS], [[found[name] for name in _COUNTS]])
    for warning in found["warnings"]:
        console.print(f"[yellow]![/yellow] {warning['count']} × {warning['text']}", highlight=False)
    if found["same_file_as"]:
        say("same-file", id=found["same_file_as"])
    is_undone = found["state"] == "undone"
    if is_undone:
        say("undone-totals", undone=found["undone"], kept=found["kept"])
    if problems:
        show_table(
            ["column-row", "column-column", "column-value", "column-reason"],
            [
                (row["row"], one["column"], escape(one["value"]), f"{one['reason']} {one['remedy']}")
                for row in problems
                for one in row["problems"]
            ],
        )
        if has_more:
            say("more-kept" if is_undone else "more-problems", rejected=found["rejected"])
        if not is_undone:
            say("get-errors", id=found["id"])
    if found["state"] == "checked":
        say("now-import", id=found["id"])


def _problems(api: Federation, found: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """The first rows with problems, and whether there are more. After an undo: the rows that it left as they are."""
    address, is_undone = f"{ROSTERS}/{found['id']}/problems", found["state"] == "undone"
    if is_undone and not found["kept"]:
        return [], False
    wanted: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = api.get(address, limit=200 if is_undone else _SHOWN, **more)
        wanted += [row for row in page["items"] if not is_undone or _is_kept(row)]
        cursor = page.get("next_cursor")
        if cursor is None or len(wanted) >= _SHOWN:
            return wanted[:_SHOWN], cursor is not None or len(wanted) > _SHOWN


def _is_kept(row: dict[str, Any]) -> bool:
    return any(one["code"] == "roster-undo-changed-since" for one in row["problems"])


def _save(api: Federation, address: str, out: Path, *, as_json: bool) -> None:
    answer = api.send("GET", address)
    out.write_bytes(answer.content)
    if as_json:
        show_json({"file": str(out.resolve()), "bytes": len(answer.content)})
    else:
        say("file-written", name=str(out), size=len(answer.content))


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
