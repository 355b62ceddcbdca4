"""What a bench gives: named figures, each beside its ceiling, and a table of them."""

import json
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path("build") / "bench.json"


@dataclass(frozen=True, slots=True)
class Figure:
    """A median. `ratio` is the median of the ratios of each round: speed drifts from one round to the next.

    `target` says of which of `value` and `ratio` it speaks, e.g. "ratio >= 0.7"; None: measured for information.
    """

    name: str
    value: float
    unit: str
    ceiling: float | None
    ratio: float | None
    target: str | None
    runs: int
    values: Sequence[float]
    ceilings: Sequence[float]

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None when there is none."""
        if self.target is None:
            return None
        measure, relation, limit = self.target.split()
        found = self.value if measure == "value" else self.ratio
        if found is None:
            return None
        return found >= float(limit) if relation == ">=" else found <= float(limit)


def figure(
    name: str,
    unit: str,
    values: Sequence[float],
    ceilings: Sequence[float] = (),
    *,
    target: str | None = None,
) -> Figure:
    """Of values and ceilings of the same rounds."""
    ratios = [value / ceiling for value, ceiling in zip(values, ceilings, strict=True)] if ceilings else []
    return Figure(
        name=name,
        value=round(statistics.median(values), 3),
        unit=unit,
        ceiling=round(statistics.median(ceilings), 3) if ceilings else None,
        ratio=round(statistics.median(ratios), 3) if ratios else None,
        target=target,
        runs=len(values),
        values=[round(value, 3) for value in values],
        ceilings=[round(ceiling, 3) for ceiling in ceilings],
    )


async def interleaved(rounds: int, **measures: Callable[[], Awaitable[float]]) -> dict[str, list[float]]:
    """A B A B …: every measure once a round, so that what drifts drifts for all of them."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        for name, measure in measures.items():
            value = await measure()
            found[name].append(value)
            print(f"  round {number + 1}/{rounds}  {name:<28} {value:>14,.2f}", flush=True)
    return found


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def keep(figures: Sequence[Figure], path: Path = RESULTS) -> None:
    """Write `build/bench.json`; figures of other benches that it holds stay."""
    path.parent.mkdir(exist_ok=True)
    known = {entry["name"]: entry for entry in json.loads(path.read_text())} if path.exists() else {}
    known |= {one.name: asdict(one) | {"met": one.met} for one in figures}
    path.write_text(json.dumps(list(known.values()), indent=1) + "\n")


def table(figures: Sequence[Figure]) -> str:
    """The figures for people."""
    lines = [f"{'bench':<34}{'value':>14} {'unit':<9}{'ceiling':>14}{'ratio':>9}  {'target':<16} met   runs"]
    for one in figures:
        met = {True: "yes", False: "NO", None: "-"}[one.met]
        ceiling = "-" if one.ceiling is None else f"{one.ceiling:,.2f}"
        ratio = "-" if one.ratio is None else f"{one.ratio:.3f}"
        lines.append(
            f"{one.name:<34}{one.value:>14,.2f} {one.unit:<9}{ceiling:>14}{ratio:>9}  {one.target or '-':<16} {met:<5} {one.runs}"
        )
    return "\n".join(lines)
