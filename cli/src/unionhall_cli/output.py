"""What the command says: tables for people, one JSON document for programs (`--json`), one clear sentence for failures."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from shared.kernel import texts
from shared.kernel.texts import Language

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
    """A sentence for people."""
    console.print(words(code, **params), highlight=False)


def show_json(document: Any) -> None:
    """The whole answer for programs, on standard output."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n")


def show_line(document: Any) -> None:
    """One of many answers for programs: JSON on one line."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; `columns` are codes of texts."""
    table = Table(*(words(column) for column in columns), header_style="bold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    console.print(table)


def give_up(code: str, /, **params: str | int) -> NoReturn:
    """Say in both languages what is wrong and what to do, and end with status 1."""
    give_up_with(texts.text(code, "zh-CN", **params), texts.text(code, "en", **params))


def give_up_with(chinese: str, english: str) -> NoReturn:
    """The same for words that came from elsewhere."""
    lines = (chinese, english) if language() == "zh-CN" else (english, chinese)
    complaints.print("[red]✗[/red] " + "\n  ".join(dict.fromkeys(lines)), highlight=False)
    raise typer.Exit(1)
