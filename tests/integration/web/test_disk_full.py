"""F16: a full disk, the database's or that of an upload, answers nobody half; the same command works once there is room."""

import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.integration.web.conftest import Service

FULL = """
    CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER is_full BEFORE INSERT ON notes FOR EACH STATEMENT EXECUTE FUNCTION is_full();
"""


async def test_a_command_is_refused_for_a_while_and_works_later_under_the_same_key(service: Service) -> None:
    request = {"path": "1/", "words": "much"}
    headers = service.headers(key="disk-full-0001")
    owner = await asyncpg.connect(service.owner_url)
    try:
        await owner.execute(FULL)
        try:
            refused = await service.client.post("/api/v1/notes", json=request, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (503, "database-busy")
            assert int(refused.headers["retry-after"]) > 0
            assert "space left" not in refused.text
            assert (await service.client.get("/api/v1/notes", headers=service.headers())).status_code == 200
        finally:
            await owner.execute("DROP FUNCTION is_full CASCADE")
    finally:
        await owner.close()
    assert await service.count("much") == 0
    again = await service.client.post("/api/v1/notes", json=request, headers=headers)
    assert again.status_code == 201
    assert await service.count("much") == 1


def full(**_: Any) -> Any:
    """A file on a disk without room, in the kernel's own words."""
    return Path("/dev/full").open("r+b")


@pytest.mark.parametrize(("language", "says"), [("zh-CN", "没有空间"), ("en", "no room")])
async def test_a_file_that_finds_no_room_is_refused_for_a_while_and_taken_later(
    service: Service, monkeypatch: pytest.MonkeyPatch, language: str, says: str
) -> None:
    # More than is held in memory while the form is read.
    file = {"file": ("roster.csv", b"x" * (2 * 1024 * 1024))}
    headers = service.headers(key=f"no-room-{language}", **{"Accept-Language": language})
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", full)
        refused = await service.client.post("/api/v1/notes/file", files=file, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (503, "disk-full")
    assert int(refused.headers["retry-after"]) > 0
    assert says in refused.json()["detail"]
    assert await service.count() == 0
    again = await service.client.post("/api/v1/notes/file", files=file, headers=headers)
    assert (again.status_code, again.json()) == (201, {"bytes": 2 * 1024 * 1024})
