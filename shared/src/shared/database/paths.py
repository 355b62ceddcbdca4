"""Materialised paths of the organisation tree: one label per unit from the root down, so a subtree is one index range.

A label is the unit's number in hexadecimal and a slash (`to_hex(number) || '/'` in SQL), the root of unit 1 is "1/", its child
with number 26 is "1/1a/". Columns have C collation: byte order, and prefix ranges are plain index ranges.
"""

from typing import Any

from sqlalchemy import ColumnElement, Text, and_

#: Type of every path column.
Path = Text(collation="C")


def path_of(parent_path: str, number: int) -> str:
    """The path of the unit `number` under a parent ("" for the root)."""
    return f"{parent_path}{number:x}/"


def path_end(path: str) -> str:
    """The first path after the whole subtree of `path`: "0" follows "/" in byte order."""
    return f"{path[:-1]}0"


def in_subtree(column: ColumnElement[Any], path: str) -> ColumnElement[bool]:
    """SQL condition: `column` lies in the subtree of `path`, the unit itself included."""
    return and_(column >= path, column < path_end(path))


def ancestors(path: str) -> list[str]:
    """The paths from the root down to the unit itself."""
    labels = path.split("/")[:-1]
    return ["/".join(labels[: depth + 1]) + "/" for depth in range(len(labels))]
