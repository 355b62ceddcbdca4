"""F16: a database whose disk is full answers nobody half; the same command goes through once there is room."""

import asyncpg

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
