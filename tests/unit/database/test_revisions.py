import importlib
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from shared.database.revisions import migrations_folder, newest_migration

SERVICES = ("membership_service", "gateway_service")


@pytest.mark.parametrize("service", SERVICES)
def test_the_newest_file_is_what_alembic_calls_the_head(service: str) -> None:
    folder = migrations_folder(importlib.import_module(service))
    assert newest_migration(service) == ScriptDirectory(str(folder)).get_current_head()


def test_the_newest_file_is_the_highest_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = tmp_path / "grown_service" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "grown_service" / "__init__.py").touch()
    for name in ("0009_nine.py", "0010_ten.py", "env.py", "__init__.py"):
        (versions / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert newest_migration("grown_service") == "0010_ten"
