"""A process loads at its start only what it needs: `make demo` starts seven of them on two cores."""

import subprocess
import sys

import pytest

SERVICES = ("membership_service", "welfare_service", "events_service", "gateway_service")
#: Loaded only by migrations, by a process with a collector, by pinyin of whole phrases, and when Kafka's jars are missing.
LATE = ("alembic", "opentelemetry.exporter", "pypinyin.phrases_dict", "jgo", "requests")


@pytest.mark.parametrize(
    "program",
    [f"{service}.{process}" for service in SERVICES for process in ("app", "worker")]
    + ["local_stack.supervisor", "local_stack.issuer"],
)
def test_a_start_loads_nothing_that_it_does_not_need(program: str) -> None:
    assert loaded_early(program) == []


def loaded_early(program: str) -> list[str]:
    """What of LATE is there once these modules are imported in a fresh process."""
    code = f"import sys, {program}; print(*(name for name in {LATE!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.split()


def test_a_planted_import_is_noticed() -> None:
    assert loaded_early("local_stack.users, alembic") == ["alembic"]
