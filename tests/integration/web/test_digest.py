"""Digests: equal rows have equal hashes, any difference shows in its bucket, and only overseers ask."""

from uuid import UUID, uuid4

from sqlalchemy import text

from shared.database.scope import Scope
from tests.integration.web.conftest import Service

DIGEST = "/internal/v1/digest"


async def put(service: Service, statement: str, **parameters: object) -> None:
    async with service.database.write(Scope(("1/",))) as session:
        await session.execute(text(statement), parameters)
        await session.commit()


async def test_a_difference_of_one_version_is_found(service: Service) -> None:
    await put(
        service,
        "INSERT INTO notes (id, path, words) SELECT gen_random_uuid(), '1/', 'n' FROM generate_series(1, 500)",
    )
    odd = uuid4()
    await put(service, "INSERT INTO notes (id, path, words) VALUES (:id, '1/', 'odd')", id=odd)
    headers = service.headers("otto")
    before = (await service.client.get(f"{DIGEST}/notes", headers=headers)).json()
    assert before["count"] == 501
    again = (await service.client.get(f"{DIGEST}/notes", headers=headers)).json()
    assert again == before
    await put(service, "UPDATE notes SET version = 2 WHERE id = :id", id=odd)
    after = (await service.client.get(f"{DIGEST}/notes", headers=headers)).json()
    changed = {bucket for bucket, value in after["buckets"].items() if before["buckets"][bucket] != value}
    assert changed == {str(odd.bytes[-1])}
    rows = (await service.client.get(f"{DIGEST}/notes/{odd.bytes[-1]}", headers=headers)).json()
    assert rows[str(odd)] == 2
    assert {UUID(row).bytes[-1] for row in rows} == {odd.bytes[-1]}


async def test_a_replica_says_how_far_it_has_read(service: Service) -> None:
    empty = (await service.client.get(f"{DIGEST}/copies", headers=service.headers("otto"))).json()
    assert (empty["count"], empty["buckets"], empty["offsets"]) == (0, {}, [])
    await put(
        service,
        "INSERT INTO consumer_offsets (consumer, topic, partition, next_offset, started_at_offset)"
        " VALUES ('copier', 'notes', 3, 17, 0), ('another', 'notes', 3, 99, 0)",
    )
    filled = (await service.client.get(f"{DIGEST}/copies", headers=service.headers("otto"))).json()
    assert filled["offsets"] == [{"topic": "notes", "partition": 3, "next_offset": 17}]


async def test_only_overseers_ask(service: Service) -> None:
    for address in ("notes", "notes/7"):
        refused = await service.client.get(f"{DIGEST}/{address}", headers=service.headers("rita"))
        assert (refused.status_code, refused.json()["code"]) == (403, "not-allowed")
        allowed = await service.client.get(f"{DIGEST}/{address}", headers=service.headers("otto"))
        assert allowed.status_code == 200
    unknown = await service.client.get(f"{DIGEST}/secrets", headers=service.headers("otto"))
    assert unknown.status_code == 404
