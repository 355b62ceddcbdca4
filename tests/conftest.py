"""How tests are shared out among processes (`make test`); in a single one, none of this is used."""

import os
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

#: What these open is dear, so one process has them all; any other file goes to whoever is free.
TOGETHER: Final = ("tests/e2e/", "tests/security/", "tests/integration/effects/")


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # xdist carries no types
    """The tests of a file stay together, and those of a folder of TOGETHER."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares:
    """In the order in which they were collected: what takes long stands first in the Makefile."""
    return Shares(config, log)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, for tests wait more than they work; four at most, as each has servers of its own."""
    return min((os.cpu_count() or 1) + 1, 4)
