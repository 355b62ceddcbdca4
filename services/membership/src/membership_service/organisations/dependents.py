"""What stands on organisations in other slices: their `tables.py` registers it here, so that this slice knows none of them.

Dependents are counted when a move is previewed, and keep their unit from being dissolved. Paths need no registration:
every column of type `shared.database.paths.Path` in the metadata follows its unit when it moves.
"""

from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependents:
    """Rows of `table` (with a column `path`) that name their unit in one of `organisation`; `live` are those that count.

    `name` is public: the key in previews, and `organisation-still-has-<name>` the reason against a dissolution.
    """

    name: str
    table: Table
    organisation: tuple[Column[object], ...]
    live: ColumnElement[bool]


DEPENDENTS: dict[str, Dependents] = {}


def register(dependents: Dependents) -> None:
    """Declare the dependents of a slice, once."""
    if dependents.name in DEPENDENTS:
        raise ValueError(f"dependents {dependents.name} are declared twice")
    DEPENDENTS[dependents.name] = dependents
