"""What a command promises: it commits before it replies, happens once, and never over a newer version."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.web.app import create_app
from shared.web.idempotency import forget_old_keys
from shared.web.session import HotStatement
from tests.integration.web.conftest import Service

ADD = "/api/v1/notes"
WAYS = pytest.mark.parametrize("address", [ADD, f"{ADD}/hot"])


def note(words: str = "hello", path: str = "1/") -> dict[str, str]:
    return {"path": path, "words": words}


@WAYS
async def test_a_command_is_committed_when_the_reply_is_here(service: Service, address: str) -> None:
    reply = await service.client.post(address, json=note(), headers=service.headers(key=str(uuid4())))
    assert reply.status_code == 201, reply.text
    assert await service.count() == 1


async def test_a_commit_that_fails_is_no_success(service: Service) -> None:
    reply = await service.client.post(f"{ADD}/deferred", headers=service.headers())
    assert reply.status_code == 500
    assert reply.json()["code"] == "unforeseen"


async def test_a_refusal_that_is_returned_is_not_committed(service: Service) -> None:
    reply = await service.client.post(f"{ADD}/returned", headers=service.headers())
    assert reply.status_code == 500
    assert await service.count() == 0


async def test_a_database_that_collides_asks_to_come_again(service: Service) -> None:
    reply = await service.client.post(f"{ADD}/deadlock", headers=service.headers())
    assert (reply.status_code, reply.json()["code"]) == (503, "database-busy")
    assert reply.headers["retry-after"] == "1"


@pytest.mark.parametrize(("language", "words"), [("zh-CN", "暂时无法连接"), ("en", "out of reach")])
async def test_a_database_that_is_away_asks_to_come_again(
    service: Service, language: str, words: str
) -> None:
    away = Database("postgresql://nobody:none@127.0.0.1:9/none", pool_size=1, application_name="test-away")
    app = create_app(replace(service.setup, database=away))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://notes.test") as client:
        for method, address in (("GET", ADD), ("POST", ADD), ("POST", f"{ADD}/hot")):
            headers = service.headers(key=str(uuid4())) | {"Accept-Language": language}
            body = note() if method == "POST" else None
            reply = await client.request(method, address, json=body, headers=headers)
            assert (reply.status_code, reply.json()["code"]) == (503, "database-busy")
            assert reply.headers["retry-after"] == "1"
            assert words in reply.json()["detail"]
            assert "127.0.0.1" not in reply.text
    await away.close()


@WAYS
async def test_the_same_key_again_gives_the_same_reply_and_no_second_effect(
    service: Service, address: str
) -> None:
    headers = service.headers(key="the-same-key")
    first = await service.client.post(address, json=note(), headers=headers)
    again = await service.client.post(address, json=note(), headers=headers)
    assert first.status_code == again.status_code == 201
    # The hot way finds the twin by the key's unique index, the other by its look-up.
    assert again.content == first.content
    assert again.headers.get("etag") == first.headers.get("etag")
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await service.count() == 1


@WAYS
async def test_a_repetition_is_replayed_also_where_another_index_would_refuse_it(
    service: Service, address: str
) -> None:
    headers = service.headers(key="only-once-key")
    first = await service.client.post(address, json=note("only one"), headers=headers)
    again = await service.client.post(address, json=note("only one"), headers=headers)
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    other = await service.client.post(
        address, json=note("only one"), headers=service.headers(key="another-key")
    )
    assert other.status_code == 409


@WAYS
async def test_the_same_key_with_another_body_is_refused(service: Service, address: str) -> None:
    headers = service.headers(key="the-same-key")
    await service.client.post(address, json=note(), headers=headers)
    other = await service.client.post(address, json=note("other"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert await service.count() == 1


@WAYS
async def test_another_users_key_is_another_key(service: Service, address: str) -> None:
    for subject in ("rita", "sven"):
        reply = await service.client.post(
            address, json=note(subject), headers=service.headers(subject, "shared-key")
        )
        assert reply.json()["words"] == subject
    assert await service.count() == 2


async def test_a_twin_that_is_still_running_is_told_so(service: Service) -> None:
    headers = service.headers(key="slow-twin-key")
    state = service.app.state
    state.began, state.may_end = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(service.client.post(ADD, json=note("slow"), headers=headers))
    await asyncio.wait_for(state.began.wait(), 15)
    twin = await service.client.post(ADD, json=note("slow"), headers=headers)
    assert (twin.status_code, twin.json()["code"]) == (409, "request-still-running")
    state.may_end.set()
    assert (await first).status_code == 201
    assert await service.count() == 1


@WAYS
async def test_fifty_twins_have_one_effect(service: Service, address: str) -> None:
    headers = service.headers(key="fifty-twins-key")
    replies = await asyncio.gather(
        *(service.client.post(address, json=note(), headers=headers) for _ in range(50))
    )
    assert {reply.status_code for reply in replies} <= {201, 409}
    assert len({reply.content for reply in replies if reply.status_code == 201}) == 1
    assert await service.count() == 1


async def test_a_refusal_is_judged_anew(service: Service) -> None:
    headers = service.headers("eva", "judged-anew-key")
    refused = await service.client.post(ADD, json=note(path="1/"), headers=headers)
    assert refused.status_code == 404
    service.posts.held["eva"] = "1/"
    service.app.state.callers._kept.clear()
    allowed = await service.client.post(ADD, json=note(path="1/"), headers=headers)
    assert allowed.status_code == 201


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency-key-missing"),
        ("short", "idempotency-key-malformed"),
        ("a b c d e f", "idempotency-key-malformed"),
    ],
)
@WAYS
async def test_a_command_needs_a_key(service: Service, address: str, key: str | None, code: str) -> None:
    reply = await service.client.post(address, json=note(), headers=service.headers(key=key))
    assert (reply.status_code, reply.json()["code"]) == (400, code)
    assert await service.count() == 0


async def test_an_upload_sent_again_is_known_although_its_boundary_differs(service: Service) -> None:
    headers = service.headers(key="upload-key-1")
    replies = [
        await service.client.post(f"{ADD}/file", files={"file": ("a.csv", content)}, headers=headers)
        for content in (b"x" * 2_000_000, b"x" * 2_000_000, b"y" * 2_000_000)
    ]
    assert [reply.status_code for reply in replies] == [201, 201, 422], replies[0].text
    assert await service.count() == 1


async def test_a_charset_that_yields_half_a_character_is_refused(service: Service) -> None:
    part = b'Content-Disposition: form-data; name="file"; filename="+2AA-.csv"'
    headers = service.headers(key="upload-key-2") | {
        "Content-Type": "multipart/form-data; boundary=B; charset=utf-7"
    }
    body = b"--B\r\n" + part + b"\r\n\r\nx\r\n--B--\r\n"
    reply = await service.client.post(f"{ADD}/file", content=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (400, "request-malformed")


async def test_the_stored_reply_is_sealed(service: Service) -> None:
    await service.client.post(ADD, json=note("a secret word"), headers=service.headers(key="sealed-key-1"))
    async with service.database.driver() as connection:
        sealed = await connection.fetchval("SELECT reply_sealed FROM idempotency_keys")
    assert b"secret" not in sealed


async def test_a_write_needs_the_version_that_was_read(service: Service) -> None:
    added = await service.client.post(ADD, json=note(), headers=service.headers(key="etag-key-1"))
    assert added.headers["etag"] == '"1"'
    address = f"{ADD}/{added.json()['id']}?words=new"
    missing = await service.client.put(address, headers=service.headers())
    assert missing.status_code == 428
    for tag in ("1", 'W/"1"', "*", '"x"', '"1", "2"', '"-1"'):
        malformed = await service.client.put(address, headers=service.headers(**{"If-Match": tag}))
        assert malformed.status_code == 400, tag
    changed = await service.client.put(address, headers=service.headers(**{"If-Match": '"1"'}))
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    stale = await service.client.put(address, headers=service.headers(**{"If-Match": '"1"'}))
    assert (stale.status_code, stale.json()["code"]) == (412, "stale-version")


async def test_the_scope_of_a_hot_statement_ends_with_it(service: Service) -> None:
    await service.client.post(ADD, json=note(), headers=service.headers(key="scope-key-1"))
    count = HotStatement(", n AS (SELECT count(*) AS seen FROM notes, s) SELECT seen FROM n")
    for scope, expected in (
        (Scope(("1/",)), 1),
        (Scope(("1/e/",)), 0),
        (Scope.nothing(), 0),
        (Scope(("1/",)), 1),
    ):
        row = await count.run(service.database, scope)
        assert row is not None
        assert row["seen"] == expected
        async with service.database.driver() as connection:
            assert not await connection.fetchval("SELECT current_setting('app.scope', true)")
            assert await connection.fetchval("SELECT count(*) FROM notes") == 0


async def test_a_hot_statement_cannot_write_outside_of_its_scope(service: Service) -> None:
    # The policy module is asked first; this is the second guard alone.
    outside = HotStatement(
        ", n AS (INSERT INTO notes (id, path, words) SELECT gen_random_uuid(), '2/', 'out' FROM s) SELECT 1"
    )
    with pytest.raises(Exception, match="row-level security"):
        await outside.run(service.database, Scope(("1/",)))
    assert await service.count() == 0


async def test_a_key_is_forgotten_after_a_week(service: Service) -> None:
    headers = service.headers(key="week-old-key")
    await service.client.post(ADD, json=note(), headers=headers)
    now = datetime.now(UTC)
    for moment, effects in ((now + timedelta(days=6, hours=23), 1), (now + timedelta(days=7, minutes=1), 2)):
        async with service.database.write(Scope.nothing()) as session:
            await forget_old_keys(session, moment)
            await session.commit()
        await service.client.post(ADD, json=note(), headers=headers)
        assert await service.count() == effects
