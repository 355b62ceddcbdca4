"""The table of crash points and the product code agree: each named point is passed somewhere, none is unnamed."""

import ast
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

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


def disagreements(sources: Iterable[Source], table: AbstractSet[str]) -> dict[str, str]:
    """Name of a point -> what is wrong with it."""
    places = set().union(*(passed(source) for source in sources))
    unnamed = dict.fromkeys(places - table, "not in shared.kernel.crash.CRASH_POINTS")
    return unnamed | dict.fromkeys(table - places, "named, but nobody passes there")


def test_table_and_code_agree() -> None:
    assert disagreements(product_files(), CRASH_POINTS.keys()) == {}


def test_planted_crash_points_are_noticed() -> None:
    text = 'crash_point("a.before")\ncrash.crash_point(name)\ncrash_point("a.after")\n'
    found = disagreements([Source("a.py", text)], {"a.before", "a.never"})
    assert found.keys() == {"a.after", "?", "a.never"}
