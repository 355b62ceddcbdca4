"""Catch only what you can handle: everything is caught in web/errors, relay, consumer and job loops alone."""

import ast
from collections.abc import Iterable
from fnmatch import fnmatch

from tests.architecture.sources import Breach, Source, python_files, report

#: Pattern of path -> what becomes of what is caught there.
MAY_CATCH_ALL = {
    "shared/src/shared/web/errors.py": "an answer without details, and a log line",
    "shared/src/shared/messaging/relay*.py": "a pause with jitter and a metric",
    "shared/src/shared/messaging/consumer*.py": "a bisected batch, at last a dead letter",
    "shared/src/shared/jobs/*.py": "a failed job with its reason",
}
_EVERYTHING = {"Exception", "BaseException"}


def _names(node: ast.expr | None) -> set[str]:
    match node:
        case None:
            return {"BaseException"}
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {name}
        case ast.Tuple(elts=parts):
            return set().union(*map(_names, parts))
        case _:
            return set()


def catch_breaches(sources: Iterable[Source]) -> list[Breach]:
    """`except Exception`, `except BaseException`, a bare `except`, and `suppress(Exception)`."""
    breaches = []
    for source in sources:
        if any(fnmatch(source.path, pattern) for pattern in MAY_CATCH_ALL):
            continue
        for node in ast.walk(source.tree):
            match node:
                case ast.ExceptHandler(type=caught) if _names(caught) & _EVERYTHING:
                    breaches.append(Breach(source.path, node.lineno, "catches everything"))
                case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=args) if (
                    any(_names(arg) & _EVERYTHING for arg in args)
                ):
                    breaches.append(Breach(source.path, node.lineno, "suppresses everything"))
                case _:
                    pass
    return breaches


def test_nothing_else_catches_everything() -> None:
    breaches = catch_breaches(python_files())
    assert not breaches, report(breaches)


def test_planted_catching_is_noticed() -> None:
    text = (
        "try: ...\nexcept Exception: ...\n"
        "try: ...\nexcept (ValueError, BaseException): ...\n"
        "try: ...\nexcept: ...\n"
        "with contextlib.suppress(Exception): ...\n"
        "try: ...\nexcept ValueError: ...\n"
    )
    assert [breach.line for breach in catch_breaches([Source("a.py", text)])] == [2, 4, 6, 7]
    assert not catch_breaches([Source("shared/src/shared/messaging/relay.py", text)])
