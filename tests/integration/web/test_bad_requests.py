"""What clients send by mistake or on purpose: each is answered in both languages, and nobody else is hurt."""

import asyncio
import logging
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from shared.web import body as body_module
from shared.web.app import create_app
from shared.web.errors import CatchAll
from shared.web.paging import seal_cursor
from tests.integration.web.conftest import Service

NOTES = "/api/v1/notes"
JSON = {"Content-Type": "application/json"}


def nested(depth: int) -> bytes:
    return b'{"path": "1/", "words": "x", "amount": ' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "input-invalid"),
        (b"{", 400, "json-malformed"),
        (b'{"path": "1/", "words": NaN}', 400, "json-malformed"),
        (b'{"path": "1/", "words": "\xff"}', 400, "json-malformed"),
        (b'{"path": "1/", "words": "\\ud800"}', 400, "json-malformed"),
        (b'{"path": "1/", "words": "a\\u0000b"}', 400, "nul-character"),
        (b'{"path": "1/", "words": "x", "\\u0000": 1}', 400, "nul-character"),
        (nested(31), 422, "input-invalid"),
        (nested(32), 400, "json-too-deep"),
        (nested(1000), 400, "json-too-deep"),
        (nested(100_000), 400, "json-malformed"),
        (b"[" * 1_000_000, 400, "json-malformed"),
        (b'"' + b"x" * 10_000_000 + b'"', 413, "body-too-large"),
        (b"[]", 422, "input-invalid"),
        (b"null", 422, "input-invalid"),
    ],
)
async def test_bad_json(service: Service, body: bytes, status: int, code: str) -> None:
    headers = service.headers(key="bad-json-key", **JSON)
    reply = await service.client.post(NOTES, content=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    assert await service.count() == 0


async def test_a_body_without_a_length_is_cut_off_where_it_grows_too_large(service: Service) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while sent < 50_000_000:
            sent += 65536
            yield b" " * 65536

    reply = await service.client.post(
        NOTES, content=endless(), headers=service.headers(key="endless-key", **JSON)
    )
    assert reply.status_code == 413
    assert sent < 2_000_000


async def test_a_slow_body_is_given_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "BODY_SECONDS", 0.2)

    async def slow() -> Any:
        yield b'{"path": '
        await asyncio.sleep(1)
        yield b'"1/", "words": "x"}'

    reply = await service.client.post(
        NOTES, content=slow(), headers=service.headers(key="slow-body-key", **JSON)
    )
    assert (reply.status_code, reply.json()["code"]) == (408, "body-too-slow")


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (-1, "field-must-exceed"),
        (0, "field-must-exceed"),
        (1e30, "field-not-integer"),
        (10**13, "field-too-large"),
        (0.001, "field-not-integer"),
        ("many", "field-not-integer"),
        (None, "field-not-integer"),
        ([], "field-not-integer"),
    ],
)
async def test_bad_amounts(service: Service, amount: object, code: str) -> None:
    body = {"path": "1/", "words": "x", "amount": amount}
    reply = await service.client.post(NOTES, json=body, headers=service.headers(key="bad-amount-key"))
    assert reply.status_code == 422
    problem = reply.json()["problems"][0]
    assert (problem["path"], problem["code"]) == ("body/amount", code)
    assert "many" not in reply.text


async def test_fields_that_nobody_asked_for_are_refused_without_quoting_them(service: Service) -> None:
    body = {"path": "1/", "words": "x" * 30, "status": "active", "110101199003070011": "张三"}
    reply = await service.client.post(NOTES, json=body, headers=service.headers(key="extra-field-key"))
    assert reply.status_code == 422
    assert {(one["path"], one["code"]) for one in reply.json()["problems"]} == {
        ("body/words", "field-too-long"),
        ("body/status", "field-unknown"),
        ("body/…", "field-unknown"),
    }
    for secret in ("xxxx", "110101", "张三", "active"):
        assert secret not in reply.text


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("limit=-1", 422, "field-too-small"),
        ("limit=0", 422, "field-too-small"),
        ("limit=201", 422, "field-too-large"),
        ("limit=x", 422, "field-not-integer"),
        ("limit=200", 200, None),
        ("cursor=AAAA", 400, "cursor-broken"),
        ("cursor=%E5%BC%A0", 400, "cursor-broken"),
        ("cursor=", 400, "cursor-broken"),
        ("cursor=" + "A" * 2000, 422, "field-too-long"),
        ("cursor=%00", 400, "nul-character"),
    ],
)
async def test_paging_limits(service: Service, query: str, status: int, code: str | None) -> None:
    reply = await service.client.get(f"{NOTES}?{query}", headers=service.headers())
    assert reply.status_code == status
    if code:
        assert code in {reply.json()["code"], *(one["code"] for one in reply.json()["problems"])}


async def test_pages_hold_every_row_once_and_cursors_cannot_be_made_up(service: Service) -> None:
    async with service.database.write(service_scope()) as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "INSERT INTO notes (id, path, words) SELECT gen_random_uuid(), '1/', 'n' || n FROM generate_series(1, 25) n"
        )
        await session.commit()
    found: list[str] = []
    cursors: list[str] = []
    query: dict[str, str | int] = {"limit": 10}
    while True:
        page = (await service.client.get(NOTES, params=query, headers=service.headers())).json()
        found += [item["words"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursors.append(page["next_cursor"])
        query["cursor"] = page["next_cursor"]
    assert len(found) == len(set(found)) == 25
    assert len(cursors) == 2
    changed = cursors[0][:-2] + ("AA" if cursors[0][-2:] != "AA" else "BB")
    elsewhere = seal_cursor(service.setup.keys, "members", ["00000000-0000-0000-0000-000000000000"])
    for cursor in (changed, elsewhere):
        reply = await service.client.get(NOTES, params={"cursor": cursor}, headers=service.headers())
        assert (reply.status_code, reply.json()["code"]) == (400, "cursor-broken")


def service_scope() -> Any:
    from shared.database.scope import Scope

    return Scope(("1/",))


async def test_a_user_over_the_limit_waits_and_others_do_not(service: Service) -> None:
    settings = service.setup.settings.model_copy(update={"rate_limit_per_minute": 20})
    app = create_app(replace(service.setup, settings=settings))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notes.test") as client:
        replies = [await client.get(NOTES, headers=service.headers()) for _ in range(7)]
        assert [reply.status_code for reply in replies] == [200] * 5 + [429] * 2
        refused = replies[-1]
        assert refused.json()["code"] == "too-many-requests"
        assert 1 <= int(refused.headers["retry-after"]) <= 3
        assert (await client.get(NOTES, headers=service.headers("sven"))).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "language", "title"),
    [
        (None, "zh-CN", "未登录"),
        ("en-GB, zh;q=0.5", "en", "Not signed in"),
        ("fr, zh-TW;q=0.4", "zh-CN", "未登录"),
        ("; ;;q=x", "zh-CN", "未登录"),
    ],
)
async def test_the_language_is_the_readers(
    service: Service, accepted: str | None, language: str, title: str
) -> None:
    reply = await service.client.get(NOTES, headers={"Accept-Language": accepted} if accepted else {})
    assert reply.headers["content-language"] == language
    assert reply.json()["title"] == title


async def test_a_problem_says_what_and_where_to_ask(service: Service) -> None:
    headers = {"Accept-Language": "en", "X-Request-ID": "reader-7f3a"}
    reply = await service.client.get("/api/v1/nothing", headers=headers)
    assert reply.status_code == 404
    assert reply.json() == {
        "type": "urn:unionhall:problem:not-found",
        "title": "Not found",
        "status": 404,
        "code": "not-found",
        "detail": "Not found, or outside the units you hold a post for.",
        "instance": "urn:unionhall:request:reader-7f3a",
        "problems": [],
    }
    assert reply.headers["x-request-id"] == "reader-7f3a"
    method = await service.client.delete(NOTES)
    assert (method.status_code, method.json()["code"]) == (405, "method-not-allowed")
    assert method.headers["allow"]


@pytest.mark.parametrize(
    "bad", ["short", "has space in it", "x" * 65, "line\tbreak-here", "110101199003070011", "a-13800138000"]
)
async def test_a_request_id_that_is_no_id_is_replaced(service: Service, bad: str) -> None:
    reply = await service.client.get("/health/live", headers={"X-Request-ID": bad})
    assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["x-request-id"])


async def test_a_defect_is_logged_with_the_request_id_and_not_shown(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        reply = await service.client.post(
            f"{NOTES}/broken?words=secret", headers={"X-Request-ID": "defect-0001"}
        )
    assert (reply.status_code, reply.json()["code"]) == (500, "unforeseen")
    assert "secret" not in reply.text
    assert "RuntimeError" not in reply.text
    assert any(record.exc_info for record in caplog.records)


async def test_every_reply_carries_the_headers_of_safety(service: Service) -> None:
    for address in ("/health/live", NOTES, "/api/v1/nothing", f"{NOTES}/broken?words=x"):
        reply = await service.client.get(address)
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["cache-control"] == "no-store"
        assert len(reply.headers.get_list("x-request-id")) == 1


async def test_readiness_names_what_an_operator_can_do(service: Service) -> None:
    reply = await service.client.get("/health/ready", headers={"Accept-Language": "en"})
    assert reply.status_code == 503
    [reason] = reply.json()["reasons"]
    assert reason["code"] == "database-not-migrated"
    assert "run the migrations" in reason["text"]
    assert "运行迁移" in (await service.client.get("/health/ready")).json()["reasons"][0]["text"]
    async with service.database.driver() as connection:
        await connection.execute("INSERT INTO schema_version VALUES ('0001')")
    assert (await service.client.get("/health/ready")).json() == {"ready": True, "reasons": []}
    service.app.state.draining.begun = True
    draining = await service.client.get("/health/ready")
    assert (draining.status_code, draining.json()["reasons"][0]["code"]) == (503, "draining")
    assert draining.headers["connection"] == "close"
    assert (await service.client.get("/health/live")).status_code == 200


async def test_metrics_name_templates_only(service: Service) -> None:
    await service.client.put(
        f"{NOTES}/0190a000-0000-7000-8000-000000000000?words=secret", headers=service.headers()
    )
    await service.client.get("/api/v1/secret-path")
    page = (await service.client.get("/metrics")).text
    assert 'route="/api/v1/notes/{note_id}"' in page
    assert "secret" not in page
    assert "0190a000" not in page


async def test_the_api_description_shows_problems_and_the_bearer_scheme(service: Service) -> None:
    document = (await service.client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    operation = document["paths"][NOTES]["post"]
    assert operation["responses"]["4XX"]["content"]["application/problem+json"]["schema"]["$ref"].endswith(
        "/Problem"
    )
    assert {"Problem", "FieldProblemBody"} <= set(document["components"]["schemas"])
    assert operation["security"]
    assert {parameter["name"].lower() for parameter in operation["parameters"]} == {"idempotency-key"}


async def test_a_reply_that_has_begun_is_not_followed_by_a_problem() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half-way")

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(RuntimeError, match="half-way"):
        await CatchAll(broken)({"type": "http", "headers": []}, None, send)  # type: ignore[arg-type]
    assert len(sent) == 1


async def test_a_client_that_hangs_up_in_the_body_is_no_defect(caplog: pytest.LogCaptureFixture) -> None:
    async def reading(scope: Any, receive: Any, send: Any) -> None:
        await Request(scope, receive).body()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with caplog.at_level(logging.ERROR):
        await CatchAll(reading)({"type": "http", "headers": []}, receive, send)
    assert (sent, caplog.records) == ([], [])
