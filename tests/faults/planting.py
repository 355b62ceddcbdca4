"""Seeded bugs by name, and how they get into a program."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

BUGS: dict[str, Callable[[], None]] = {}
#: What was there before: owner, name, value.
_before: list[tuple[Any, str, Any]] = []


def bug(plant: Callable[[], None]) -> Callable[[], None]:
    """Register a function that plants the bug it is named for."""
    BUGS[plant.__name__.replace("_", "-")] = plant
    return plant


def named(name: str) -> Callable[[], None]:
    """The bug of that name. Raises KeyError."""
    import_module("tests.faults.service_variants")
    return BUGS[name]


def put(owner: object, name: str, replacement: object) -> None:
    """Replace a name that is there: a variant of what was renamed meanwhile must fail, not pass for the product."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner!r} has no {name}")
    _before.append((owner, name, getattr(owner, name)))
    setattr(owner, name, replacement)


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """A bug of those that only `put`, in this process and for a while; none for None."""
    _before.clear()
    if name:
        named(name)()
    try:
        yield
    finally:
        while _before:
            setattr(*_before.pop())
