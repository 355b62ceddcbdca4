"""What a row of the table is made of."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.faults.ledger import Found


@dataclass(frozen=True)
class Attempt:
    """One run: its seed, the seeded bug if any, and its number among the runs of the row."""

    seed: int
    number: int = 0
    bug: str | None = None


@dataclass(frozen=True)
class Case:
    """One row. `run` is given the ground, or the installation on it.

    Each of `bugs` must be noticed before the product is tried `runs` times.
    """

    fault: str
    point: str
    run: Callable[[Any, Attempt], Awaitable[Found]]
    bugs: tuple[str, ...]
    runs: int = 2
