"""The table of crash points and the product code agree: each named point is passed somewhere, none is unnamed."""

import ast

from shared.kernel.crash import CRASH_POINTS
from tests.architecture.sources import Source, product_files


def passed(source: Source) -> set[str]:
    """The literal names of the crash points that a file passes; "?" for one that is not a literal."""
    found = set()
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Name(id="crash_point") | ast.Attribute(attr="crash_point"), args=[name]):
                found.add(
                    name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else "?"
                )
            case _:
                pass
    return found


def test_table_and_code_agree() -> None:
    places = set().union(*(passed(source) for source in product_files()))
    assert places - CRASH_POINTS.keys() == set(), "not in shared.kernel.crash.CRASH_POINTS"
    assert CRASH_POINTS.keys() - places == set(), "named, but nobody passes there"
