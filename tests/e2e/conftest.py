"""One whole local stack for all end-to-end tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command
from tests.support.stack import RunningStack, running_stack


@pytest.fixture(scope="package")
def stack() -> Iterator[RunningStack]:
    """Every process of the product, with an empty federation. What a test makes, later tests will find."""
    with (
        tempfile.TemporaryDirectory(prefix="unionhall-e2e-", ignore_cleanup_errors=True) as folder,
        running_stack(Path(folder) / "home") as running,
    ):
        yield running


@pytest.fixture
def command(stack: RunningStack, tmp_path: Path) -> Command:
    """The operator's command, in an empty folder."""
    return Command(stack, tmp_path)


@pytest.fixture(scope="package")
def demo(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The federation, loaded once for all tests; what the command said of it."""
    page: dict[str, Any] = Command(stack, tmp_path_factory.mktemp("demo")).json("demo", "--scale", "tiny")
    return page
