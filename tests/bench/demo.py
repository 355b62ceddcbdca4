"""How long a new user waits for `make demo`: in a fresh clone with only a package cache, and once more after `make down`."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.bench.figures import Figure, figure
from tests.bench.ground import Size

_PATIENCE = 900


def demo(size: Size) -> list[Figure]:
    """Whole seconds of the real command; the clone holds what is committed."""
    cold, warm = [], []
    for number in range(size.rounds):
        folder = Path(tempfile.mkdtemp(prefix="unionhall-bench-demo-"))
        folder.chmod(0o711)
        try:
            first, second = _try(folder / "unionhall")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        cold.append(first)
        warm.append(second)
        print(f"  round {number + 1}  cold {first:.1f} s  warm {second:.1f} s", flush=True)
    return [
        figure("demo_cold_s", "s", cold, target="value <= 60"),
        figure("demo_warm_s", "s", warm, target="value <= 20"),
    ]


def _try(clone: Path) -> tuple[float, float]:
    project = Path(__file__).parents[2]
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(project), str(clone)], check=True)  # noqa: S607
    try:
        first = _timed(clone, "demo")
        _timed(clone, "down")
        return first, _timed(clone, "demo")
    finally:
        _timed(clone, "clean")


def _timed(clone: Path, target: str) -> float:
    """Seconds of a make target. Raises RuntimeError with the end of what it said if it fails."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UNIONHALL_", "VIRTUAL_ENV"))
    }
    began = time.perf_counter()
    done = subprocess.run(
        ["make", target],  # noqa: S607 - of whatever PATH the user has
        cwd=clone,
        env=kept,
        check=False,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
    )
    if done.returncode:
        raise RuntimeError(f"make {target} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return time.perf_counter() - began
