"""A file of more than 400 lines or a function of more than 50 is to be split by meaning; some names mean nothing."""

import ast
from collections.abc import Iterable
from pathlib import PurePosixPath

from tests.architecture.sources import Breach, Source, own_files, report

FILE_LINES = 400
FUNCTION_LINES = 50
CODE = (".py", ".js", ".ts", ".svelte", ".css", ".html")
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}


def size_breaches(sources: Iterable[Source]) -> list[Breach]:
    """Files and functions over their limit. A function counts from `def` to its last line, docstring included."""
    breaches = []
    for source in sources:
        if not source.path.endswith(CODE):
            continue
        lines = source.text.count("\n")
        if lines > FILE_LINES:
            breaches.append(Breach(source.path, 1, f"{lines} lines, more than {FILE_LINES}"))
        if not source.path.endswith(".py"):
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                if length > FUNCTION_LINES:
                    what = f"{node.name} has {length} lines, more than {FUNCTION_LINES}"
                    breaches.append(Breach(source.path, node.lineno, what))
    return breaches


def name_breaches(sources: Iterable[Source]) -> list[Breach]:
    """Files, folders and classes whose name says nothing of what is in them."""
    breaches = []
    for source in sources:
        if not source.path.endswith(CODE):
            continue
        path = PurePosixPath(source.path)
        empty = {*path.parts[:-1], path.stem} & EMPTY_NAMES
        breaches += [Breach(source.path, 1, f"the name {part!r} says nothing") for part in sorted(empty)]
        if path.suffix == ".py":
            breaches += [
                Breach(source.path, node.lineno, f"the name {node.name!r} says nothing")
                for node in ast.walk(source.tree)
                if isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Helper", "Utils"))
            ]
    return breaches


def test_files_and_functions_are_short() -> None:
    breaches = size_breaches(own_files())
    assert not breaches, report(breaches)


def test_names_mean_something() -> None:
    breaches = name_breaches(own_files())
    assert not breaches, report(breaches)


def test_planted_long_code_is_noticed() -> None:
    function = "def long() -> None:\n" + "    x = 1\n" * FUNCTION_LINES
    assert size_breaches([Source("a.py", function)]) == [Breach("a.py", 1, "long has 51 lines, more than 50")]
    assert not size_breaches([Source("a.py", function.removesuffix("    x = 1\n"))])
    assert size_breaches([Source("b.js", "x\n" * 401)]) == [Breach("b.js", 1, "401 lines, more than 400")]
    assert not size_breaches([Source("b.js", "x\n" * 400)])


def test_planted_empty_names_are_noticed() -> None:
    planted = [Source("shared/src/shared/utils/dates.py", ""), Source("a.py", "class TopicManager: ...\n")]
    assert [breach.path for breach in name_breaches(planted)] == ["shared/src/shared/utils/dates.py", "a.py"]
