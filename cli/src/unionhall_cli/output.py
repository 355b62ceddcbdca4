"""What the command says: tables for people, one JSON document for programs (`--json`), one clear sentence for failures."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from local_stack.users import username_of
from shared.kernel import texts
from shared.kernel.clock import CHINA_OFFSET
from shared.kernel.money import Fen, yuan
from shared.kernel.texts import Language

CHINA = timezone(CHINA_OFFSET)

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}")

#: What has no blank and is not longer is kept on one line: it is there to be copied or compared. An id is longer, and too.
_WHOLE = 16
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: Fields whose heading another table has with another meaning.
_NAMED_ALIKE = {"reason": "reason-text"}
#: Longer text may be folded down to this.
_FOLDED = 12

console = Console()
complaints = Console(stderr=True)


def language() -> Language:
    """The language of the terminal: zh-CN when its locale is Chinese, else en; UNIONHALL_LANG overrides."""
    named = os.environ.get("UNIONHALL_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return "zh-CN" if named.lower().startswith("zh") else "en"


def words(code: str, /, **params: str | int) -> str:
    """The text of `code` in the terminal's language."""
    return texts.text(code, language(), **params)


def both(chinese: str, english: str) -> str:
    """Help is shown in both languages, whatever the terminal's."""
    return f"{chinese} / {english}"


def say(code: str, /, **params: str | int) -> None:
    """A sentence for people, or lines to copy: the terminal breaks what is too long, so that a command stays one line."""
    console.print(words(code, **params), highlight=False, soft_wrap=True)


def show_json(document: Any) -> None:
    """The whole answer for programs, on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n")


def show_line(document: Any) -> None:
    """One of many answers for programs: JSON on one line."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; `columns` are codes of texts. Nothing is cut."""
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    _lay_out([words(column) for column in columns], cells)


def show_rows(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of what the API answered: amounts in yuan, known words in the terminal's language."""
    _lay_out([heading(field) for field in fields], [[shown(field, row) for field in fields] for row in rows])


def show_document(document: Mapping[str, Any]) -> None:
    """One answer of the API, a line for each field; what it holds of rows follows as tables."""
    lists = {name: value for name, value in document.items() if _is_rows(value)}
    flat = [name for name, value in document.items() if value is not None and name not in lists]
    table = Table(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name in flat:
        table.add_row(heading(name), shown(name, document))
    console.print(table)
    for name, rows in lists.items():
        fields = [field for field in rows[0] if any(row.get(field) not in (None, []) for row in rows)]
        console.print(Text(heading(name), style="italic"))
        show_rows(fields, rows)


def _lay_out(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, or where the terminal (or a pipe) is too narrow for it, lines for each row. No cell is lost in either."""
    columns = list(zip(headings, *rows, strict=True))
    least = [max(map(_least, column)) for column in columns]
    spare = console.width - sum(least) - 3 * len(least) - 1
    if rows and spare < 0:
        for row in rows:
            first, *others = (Text.from_markup(cell or "–") for cell in row)
            told = [
                Text(f"{name} ").append_text(cell) for name, cell in zip(headings[1:], others, strict=True)
            ]
            console.print(Text.assemble((f"{headings[0]} ", "dim"), first), overflow="fold")
            console.print(Padding(Text(" · ").join(told), (0, 0, 0, 2)), overflow="fold")
        return
    table = Table(header_style="bold")
    wanted = [max(map(_width, column)) - width for column, width in zip(columns, least, strict=True)]
    # Who needs least more is served first; the others share what is left.
    for served, place in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        more = max(0, min(wanted[place], spare // (len(wanted) - served)))
        least[place] += more
        spare -= more
    for name, width in zip(headings, least, strict=True):
        table.add_column(name, width=width, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _least(cell: str) -> int:
    """How narrow the column of this cell may become."""
    plain, width = Text.from_markup(cell).plain, _width(cell)
    is_whole = _ID.fullmatch(plain) or (width <= _WHOLE and " " not in plain)
    return width if is_whole else min(width, _FOLDED)


def _width(cell: str) -> int:
    """How wide it is without folding."""
    return max((line.cell_len for line in Text.from_markup(cell).split()), default=0)


def heading(field: str) -> str:
    """The words for a field of the API; its own name where there are none."""
    code = f"column-{_NAMED_ALIKE.get(field, field)}".replace("_", "-")
    return words(code) if texts.has_text(code) else field


def shown(field: str, row: Mapping[str, Any]) -> str:
    """A value as people read it: fen as yuan, a moment in China's time to the minute, known words translated."""
    value = row.get(field)
    if value is None:
        return ""
    if field.endswith("_fen") and isinstance(value, int):
        return yuan(Fen(value))
    if isinstance(value, bool):
        return words("word-yes" if value else "word-no")
    if isinstance(value, list | dict):
        return escape(json.dumps(value, ensure_ascii=False)) if value else ""
    if _MOMENT.match(str(value)):
        return f"{datetime.fromisoformat(str(value)).astimezone(CHINA):%Y-%m-%d %H:%M}"
    # Only the identity provider knows users by name; the demo's are known here too, by the name that --user takes.
    user = username_of(str(value)) if field == "by" or field.endswith("subject") else None
    code = f"word-{value}".replace("_", "-")
    return words(code) if user is None and texts.has_text(code) else escape(user or str(value))


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def give_up(code: str, /, **params: str | int) -> NoReturn:
    """Say in both languages what is wrong and what to do, and end with status 1."""
    give_up_with(texts.text(code, "zh-CN", **params), texts.text(code, "en", **params))


def give_up_with(chinese: str, english: str) -> NoReturn:
    """The same for words that came from elsewhere."""
    lines = (chinese, english) if language() == "zh-CN" else (english, chinese)
    complaints.print("[red]✗[/red] " + escape("\n  ".join(dict.fromkeys(lines))), highlight=False)
    raise typer.Exit(1)
