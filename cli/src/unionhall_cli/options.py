"""Options that many verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from unionhall_cli.output import both

Json = Annotated[bool, typer.Option("--json", help=both("输出 JSON", "print JSON"))]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=both("不再确认", "do not ask"))]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help=both("写入的文件", "the file to write"), dir_okay=False)
]
User = Annotated[str, typer.Option("--user", "-u", help=both("以哪个演示用户的身份", "as which demo user"))]


def group(chinese: str, english: str) -> typer.Typer:
    """A group of verbs."""
    return typer.Typer(help=both(chinese, english), no_args_is_help=True)
