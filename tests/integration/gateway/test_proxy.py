import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gateway_service.proxy.documents import merge
from shared.web import body
from tests.integration.gateway.conftest import Owner
from tests.support.service import on_a_port
from tests.support.tokens import Issuer


@pytest.fixture
def me(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("registrar")


async def test_nothing_is_passed_on_without_a_good_token(gateway: httpx.AsyncClient, owner: Owner) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        answer = await gateway.get("/api/v1/members", headers=headers)
        assert answer.status_code == 401
    assert not [seen for seen in owner.seen if seen["path"] != "/openapi.json"]


async def test_the_owner_gets_the_request_and_the_client_its_answer(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    content = {"name": "示例"}
    answer = await gateway.post("/api/v1/members/search?limit=3", json=content, headers=me)
    assert (answer.status_code, answer.json()) == (200, {"owner": "membership"})
    assert answer.headers["etag"] == '"3"'
    passed = next(seen for seen in owner.seen if seen["path"] == "/api/v1/members/search")
    assert passed["query"] == "limit=3"
    assert passed["authorization"] == me["Authorization"]
    assert [json.loads(body_seen) for body_seen in owner.bodies if body_seen] == [content]
    assert answer.headers.get_list("x-request-id") == [passed["x-request-id"]]


async def test_claims_of_the_client_about_who_it_is_go_no_further(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    forged = {
        "X-Unionhall-Subject": "administrator",
        "X-Forwarded-User": "administrator",
        "X-User-Role": "administrator",
        "Forwarded": "for=1.2.3.4",
        "Connection": "close, x-secret",
        "X-Secret": "1",
    }
    await gateway.get("/api/v1/members", headers=me | forged)
    passed = next(seen for seen in owner.seen if seen["path"] == "/api/v1/members")
    assert not {name.lower() for name in forged} - {"connection"} & passed.keys()


@pytest.mark.parametrize(
    "path", ["/internal/v1/digest/members", "/api/v1/unknown", "/api/v2/members", "/metrics2"]
)
async def test_what_has_no_owner_is_not_found(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str], path: str
) -> None:
    answer = await gateway.get(path, headers=me)
    assert answer.status_code in {403, 404}
    assert not [seen for seen in owner.seen if seen["path"] == path]


async def test_an_owner_that_is_down_is_said_in_both_languages(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    async def hang_up(_: Request) -> Response:
        raise ConnectionAbortedError

    owner.answer = hang_up
    answer = await gateway.get("/api/v1/members", headers=me | {"Accept-Language": "zh-CN"})
    assert answer.status_code == 500  # an owner that fails answers for itself
    gateway._transport.app.state.owners["membership"] = "http://127.0.0.1:9"  # type: ignore[attr-defined]
    for language, words in (("zh-CN", "暂时无法访问"), ("en", "cannot be reached")):
        answer = await gateway.get("/api/v1/members", headers=me | {"Accept-Language": language})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        problem = answer.json()
        assert problem["code"] == "owner-down"
        assert words in problem["detail"]
        assert "127.0.0.1" not in answer.text


async def test_a_slow_owner_costs_no_more_than_the_deadline(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    async def sleep(_: Request) -> Response:
        await asyncio.sleep(5)
        return Response()

    owner.answer = sleep
    answer = await asyncio.wait_for(gateway.get("/api/v1/members", headers=me), 3)
    assert (answer.status_code, answer.json()["code"]) == (503, "owner-slow")


@pytest.mark.parametrize(
    ("method", "headers", "tries"),
    [("GET", {}, 2), ("POST", {"Idempotency-Key": "k-12345678"}, 2), ("POST", {}, 1)],
)
async def test_only_what_may_be_repeated_is_sent_twice(
    gateway: httpx.AsyncClient,
    me: dict[str, str],
    method: str,
    headers: dict[str, str],
    tries: int,
) -> None:
    connections = 0

    async def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    server = await asyncio.start_server(drop, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gateway._transport.app.state.owners["membership"] = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
    body = b"{}" if method == "POST" else None
    answer = await gateway.request(method, "/api/v1/members", headers=me | headers, content=body)
    server.close()
    assert answer.json()["code"] == "owner-down"
    assert connections == tries


@pytest.mark.parametrize(
    ("method", "headers", "tries"),
    [("GET", {}, 2), ("PUT", {}, 1), ("DELETE", {}, 1), ("PUT", {"Idempotency-Key": "k-12345678"}, 2)],
)
async def test_a_kept_connection_that_breaks_is_no_reason_to_repeat_more(
    gateway: httpx.AsyncClient, me: dict[str, str], method: str, headers: dict[str, str], tries: int
) -> None:
    asked: list[bytes] = []

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            asked.append(head.split(b" ")[0])
            if len(asked) > 1:
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gateway._transport.app.state.owners["membership"] = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
    assert (await gateway.get("/api/v1/members", headers=me)).status_code == 200
    answer = await gateway.request(method, "/api/v1/members", headers=me | headers)
    server.close()
    assert answer.json()["code"] == "owner-down"
    assert asked == [b"GET", *[method.encode()] * tries]


@pytest.mark.parametrize("size", [5, 3_000_000])
async def test_bodies_and_headers_pass_as_they_are(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str], size: int
) -> None:
    async def echo(request: Request) -> Response:
        body = await request.body()
        reply = StreamingResponse(
            pieces(body), 207, {"content-encoding": "gzip", "location": "/api/v1/x?a=%20"}
        )
        reply.headers.append("set-cookie", "a=1; Path=/")
        reply.headers.append("set-cookie", "b=2; Path=/")
        reply.headers["x-name"] = "x" * 9_000
        if request.headers.get("content-length"):
            reply.headers["content-length"] = request.headers["content-length"]
        return reply

    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        for begin in range(0, len(body), 100_000):
            yield body[begin : begin + 100_000]

    owner.answer = echo
    content = bytes(range(250)) * (size // 250 + 1)
    name = "会".encode()
    url = "/api/v1/rosters/a%20b%25%E4%BC%9A%3F%23%5C?q=%E4%BC%9A&x=a+b&y=%2F"
    async with (
        on_a_port(gateway._transport.app) as address,  # type: ignore[attr-defined]
        httpx.AsyncClient(base_url=address, trust_env=False) as client,
    ):
        for sent in (content, pieces(content)):
            headers = [*me.items(), ("x-name", name), ("expect", "100-continue"), ("cookie", "c=3")]
            async with client.stream("POST", url, content=sent, headers=headers) as answer:  # type: ignore[arg-type]
                assert b"".join([piece async for piece in answer.aiter_raw()]) == content
            assert (answer.status_code, answer.headers["content-encoding"]) == (207, "gzip")
            assert answer.headers["location"] == "/api/v1/x?a=%20"
            assert answer.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    for passed in [seen for seen in owner.seen if seen["path"] != "/openapi.json"]:
        assert passed["path"] == "/api/v1/rosters/a b%会?#\\"
        assert passed["query"] == "q=%E4%BC%9A&x=a+b&y=%2F"
        assert (passed["x-name"].encode("latin-1"), passed["cookie"]) == (name, "c=3")
        assert "expect" not in passed
        assert "user-agent" in passed


async def test_what_an_owner_redirects_to_is_the_clients_to_follow(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    async def elsewhere(_: Request) -> Response:
        return Response(status_code=302, headers={"location": "/identity/elsewhere"})

    owner.answer = elsewhere
    answer = await gateway.get("/api/v1/members", headers=me)
    assert (answer.status_code, answer.headers["location"]) == (302, "/identity/elsewhere")
    assert len([seen for seen in owner.seen if seen["path"] != "/openapi.json"]) == 1


async def test_an_answer_that_breaks_off_does_not_look_whole(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    async def half(_: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"[1, 2"
            raise ConnectionAbortedError

        return StreamingResponse(pieces(), headers={"content-length": "100"})

    owner.answer = half
    async with (
        on_a_port(gateway._transport.app) as url,  # type: ignore[attr-defined]
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/api/v1/members", headers=me)


async def test_identity_passes_without_a_token(gateway: httpx.AsyncClient, owner: Owner) -> None:
    answer = await gateway.get("/identity/.well-known/openid-configuration")
    assert answer.status_code == 200
    assert "/identity/.well-known/openid-configuration" in {seen["path"] for seen in owner.seen}


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_the_first_page_loads_nothing_from_elsewhere(gateway: httpx.AsyncClient, language: str) -> None:
    page = await gateway.get("/", params={"lang": language})
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for asset in (
        "/assets/portal.js",
        "/assets/portal.css",
        "/assets/mark.svg",
        "/assets/swagger/swagger-ui-bundle.js",
    ):
        assert (await gateway.get(asset)).status_code == 200
    for text in (
        page.text,
        (await gateway.get("/assets/portal.js")).text,
        (await gateway.get("/assets/portal.css")).text,
    ):
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text


async def test_the_document_of_all_services_is_one(gateway: httpx.AsyncClient, owner: Owner) -> None:
    async def documents(_: Request) -> Response:
        operation = {"operationId": "list_members", "responses": {"200": {"description": "ok"}}}
        return JSONResponse(
            {
                "openapi": "3.1.0",
                "info": {},
                "paths": {"/api/v1/members": {"get": operation}, "/internal/v1/digest": {"get": operation}},
            }
        )

    owner.answer = documents
    merged = (await gateway.get("/openapi.json")).json()
    for _ in range(100):
        merged = (await gateway.get("/openapi.json")).json()
        if "/api/v1/members" in merged["paths"]:
            break
        await asyncio.sleep(0.05)
    assert merged["openapi"].startswith("3.1")
    assert {"/api/v1/members", "/api/v1/members/{member_id}/timeline"} <= merged["paths"].keys()
    assert not [path for path in merged["paths"] if path.startswith("/internal")]
    operations = [
        operation["operationId"]
        for item in merged["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict) and "operationId" in operation
    ]
    assert len(operations) == len(set(operations))


def test_components_that_clash_get_their_owners_name() -> None:
    own = {"paths": {}, "components": {"schemas": {"Page": {"type": "object", "title": "A"}}}}
    other = {
        "paths": {"/api/v1/x": {"get": {"schema": {"$ref": "#/components/schemas/Page"}}}},
        "components": {"schemas": {"Page": {"type": "array"}, "Same": {"type": "string"}}},
    }
    merged = merge(own, {"welfare": other})
    assert merged["components"]["schemas"].keys() == {"Page", "welfare_Page", "Same"}
    assert merged["paths"]["/api/v1/x"]["get"]["schema"]["$ref"] == "#/components/schemas/welfare_Page"


@pytest.mark.parametrize("path", ["/api/v1/members/search", "/identity/token"])
@pytest.mark.parametrize("framing", ["Content-Length: 500", "Transfer-Encoding: chunked"])
async def test_a_body_that_does_not_come_is_given_up(
    gateway: httpx.AsyncClient, me: dict[str, str], monkeypatch: pytest.MonkeyPatch, path: str, framing: str
) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.3)
    head = f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: {me['Authorization']}\r\n{framing}\r\n\r\n"
    async with on_a_port(gateway._transport.app) as url:  # type: ignore[attr-defined]
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
        writer.write(head.encode())
        answer = await asyncio.wait_for(reader.readline(), 3)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_path_with_a_zero_character_is_refused(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    answer = await gateway.get("/api/v1/members/%00", headers=me)
    assert (answer.status_code, answer.json()["code"]) == (400, "nul-character")
    assert not [seen for seen in owner.seen if seen["path"].startswith("/api")]


async def test_a_calendar_is_passed_on_without_a_token_and_its_secret_stays_out_of_the_log(
    gateway: httpx.AsyncClient, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        answer = await gateway.get("/api/v1/calendars/kept-secret.ics")
    assert answer.status_code == 200
    assert "/api/v1/calendars/kept-secret.ics" in {seen["path"] for seen in owner.seen}
    written = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert any(record.name == "unionhall.access" for record in written)
    assert not [record for record in written if "kept-secret" in str(record.__dict__)]


@pytest.mark.parametrize("service", ["membership", "welfare", "events"])
async def test_the_audit_of_each_service_is_read_through_one_route(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str], service: str
) -> None:
    owners = gateway._transport.app.state.owners  # type: ignore[attr-defined]
    for name in owners:
        owners[name] = f"{owner.url}/{name}"
    query = {"organisation": str(UUID(int=5)), "limit": "3"} | {"service": service}
    answer = await gateway.get("/api/v1/audit", params=query, headers=me)
    assert answer.status_code == 200
    passed = [seen for seen in owner.seen if seen["path"].endswith("/audit")]
    assert [seen["path"] for seen in passed] == [f"/{service}/api/v1/audit"]
    assert f"organisation={UUID(int=5)}" in passed[0]["query"]
    assert passed[0]["authorization"] == me["Authorization"]


async def test_an_audit_of_nobody_is_refused(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    for query in ({"service": "bank", "organisation": str(UUID(int=5))}, {"service": "welfare"}):
        assert (await gateway.get("/api/v1/audit", params=query, headers=me)).status_code == 422
    assert (await gateway.get("/api/v1/audit")).status_code == 401
    assert not [seen for seen in owner.seen if seen["path"].endswith("/audit")]
