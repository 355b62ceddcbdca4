"""Whom services trust, and the keys that they seal with: one of each for a session."""

from pathlib import Path

import pytest

from tests.support.service import new_keys_file
from tests.support.tokens import Issuer


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_keys_file(tmp_path_factory.mktemp("keys"))
