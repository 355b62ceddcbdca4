"""The import of a roster from upload to outbox, beside a bare COPY of what it wrote; and the memory that it takes."""

import statistics
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import asyncpg

from local_stack.processes import family_of
from shared.database.provision import DatabaseUrls
from shared.database.session import OUTBOX_COLUMNS
from tests.bench.federations import membership, superuser
from tests.bench.figures import Figure, figure, interleaved
from tests.bench.ground import Ground, Size, calm
from tests.bench.people import write_roster

_SAMPLE_EVERY = 0.25


async def rosters(ground: Ground, size: Size) -> list[Figure]:
    """Rows a second of one streamed `.csv`: upload, check and apply through the public interface, its events in the outbox.

    The relay stays off, so that the outbox can be copied afterwards: the ceiling is a COPY of the finished rows into the
    same tables, members and outbox, with the same indexes, in another database.
    """
    rows = size.of(1_000_000, 5_000)
    runs = _Runs(ground, rows, ground.folder / "roster.csv")
    found = await interleaved(size.rounds, import_rows=runs.import_all, copy=runs.copy)
    return [
        figure("import_vs_copy", "rows/s", found["import_rows"], found["copy"], target="ratio >= 0.25"),
        figure("import_memory_mb", "MB", runs.peaks, target="value <= 300"),
        figure("import_memory_growth", "x", runs.growths, target="value <= 1.15"),
        *(figure(f"import_{step}_s", "s", values) for step, values in runs.steps.items()),
    ]


@dataclass
class _Runs:
    ground: Ground
    rows: int
    file: Path
    peaks: list[float] = field(default_factory=list)
    growths: list[float] = field(default_factory=list)
    steps: dict[str, list[float]] = field(default_factory=dict)
    imported: DatabaseUrls | None = None

    async def import_all(self) -> float:
        """Rows a second of a whole import into a fresh federation."""
        async with membership(self.ground, "jobs") as service:
            unit = await service.federation.unit(kind="enterprise")
            registrar = await service.federation.user("registrar", unit["id"])
            if not self.file.exists():
                write_roster(self.file, self.rows, [""])
            await calm(self.ground.postgres_url)
            pids = [pid for child in (service.http, service.worker) if (pid := child.pid)]
            with _Memory(pids) as memory:
                steps = await service.import_roster(registrar, unit["id"], self.file)
            self.imported = service.urls
        self.peaks.append(memory.peak_mb)
        self.growths.append(memory.growth)
        for name, seconds in steps.items():
            self.steps.setdefault(name, []).append(seconds)
        print("  " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in steps.items()), flush=True)
        return self.rows / sum(steps.values())

    async def copy(self) -> float:
        """Rows a second of COPY into the tables of another fresh database."""
        assert self.imported
        source = await asyncpg.connect(superuser(self.ground, self.imported))
        target = await asyncpg.connect(superuser(self.ground, self.ground.databases("membership")))
        try:
            members = await _columns(source, "members")
            files = {
                "organisations": await self._export(
                    source, "organisations", await _columns(source, "organisations")
                ),
                "members": await self._export(source, "members", members),
                "outbox": await self._export(
                    source, "outbox", OUTBOX_COLUMNS, "WHERE type LIKE '%.member.%'"
                ),
            }
            await target.copy_to_table(
                "organisations",
                source=files["organisations"],
                columns=await _columns(source, "organisations"),
                format="binary",
            )
            await calm(self.ground.postgres_url)
            began = time.perf_counter()
            for table, columns in (("members", members), ("outbox", OUTBOX_COLUMNS)):
                told = await target.copy_to_table(
                    table, source=files[table], columns=columns, format="binary", timeout=600
                )
                if told != f"COPY {self.rows}":
                    raise RuntimeError(f"{table}: {told} instead of {self.rows} rows")
            return self.rows / (time.perf_counter() - began)
        finally:
            await source.close()
            await target.close()

    async def _export(
        self, source: asyncpg.Connection, table: str, columns: list[str] | tuple[str, ...], where: str = ""
    ) -> Path:
        file = self.ground.folder / f"{table}.copy"
        names = ", ".join(f'"{name}"' for name in columns)
        query = f"SELECT {names} FROM {table} {where} ORDER BY 1"
        await source.copy_from_query(query, output=file, format="binary", timeout=600)
        return file


async def _columns(connection: asyncpg.Connection, table: str) -> list[str]:
    rows = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position",
        table,
    )
    return [row["column_name"] for row in rows]


class _Memory:
    """Proportional set size of some processes and all that they start, sampled in a thread of its own."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._ended = threading.Event()
        self._samples: list[float] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def peak_mb(self) -> float:
        """The most that all of them had at one time."""
        return max(self._samples)

    @property
    def growth(self) -> float:
        """What they have towards the end over what they had when the work was under way: about 1 when memory is flat."""
        quarter = max(1, len(self._samples) // 4)
        return statistics.median(self._samples[-quarter:]) / statistics.median(
            self._samples[quarter : 2 * quarter] or [1]
        )

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_EVERY):
            pids = [*self._pids, *(child.pid for pid in self._pids for child in family_of(pid))]
            self._samples.append(sum(_pss_mb(pid) for pid in pids))


def _pss_mb(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
