"""One whole local stack for all end-to-end tests of a session."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """Every process of the product, with an empty federation. What a test makes, later tests will find."""
    with (
        tempfile.TemporaryDirectory(prefix="unionhall-e2e-", ignore_cleanup_errors=True) as folder,
        running_stack(Path(folder) / "home") as running,
    ):
        yield running
