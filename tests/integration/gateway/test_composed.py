"""Answers put together from several owners: whole, and with one owner in every kind of trouble."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.kernel.ids import new_id
from tests.integration.gateway.conftest import Owner
from tests.support.tokens import Issuer

MEMBER, CASE, UNIT = new_id(), new_id(), new_id()
OVERVIEW, PAGE, WORK = f"/api/v1/members/{MEMBER}/overview", f"/api/v1/cases/{CASE}/page", "/api/v1/work"

#: What the owners answer by path; each path is asked of one owner alone but for the work list.
ANSWERS: dict[str, dict[str, Any]] = {
    f"/api/v1/members/{MEMBER}": {"id": str(MEMBER), "status": "active"},
    "/api/v1/cases": {"items": [{"case_number": "C-1"}], "next_cursor": None},
    "/api/v1/dossiers": {"items": [], "next_cursor": None},
    "/api/v1/registrations": {"items": [], "next_cursor": None},
    f"/api/v1/cases/{CASE}": {"id": str(CASE), "member_id": str(MEMBER), "stage": "submitted"},
    f"/api/v1/cases/{CASE}/history": {"items": [{"version": 1, "member_id": str(MEMBER)}]},
    "/internal/v1/members/details": {"items": [{"id": str(MEMBER), "name": "张三", "member_number": "N1"}]},
}


def work_item(kind: str, since: str, due_on: str | None) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": str(new_id()),
        "label": "No. 1",
        "organisation_id": str(UNIT),
        "since": since,
        "due_on": due_on,
        "flagged": False,
    }


async def answering(request: Request) -> Response:
    found = ANSWERS.get(request.url.path)
    return JSONResponse(found, headers={"etag": '"7"'}) if found else Response(status_code=404)


Trouble = Callable[[Request], Awaitable[Response]]


async def slow(_: Request) -> Response:
    await asyncio.sleep(1.5)
    return Response()


async def failing(_: Request) -> Response:
    return JSONResponse({"detail": "boom: 110101199003070011"}, 500)


async def garbage(_: Request) -> Response:
    return Response(b"\x00<html>{not json", media_type="application/json")


async def a_list(_: Request) -> Response:
    return JSONResponse([1, 2, 3])


async def refusing(_: Request) -> Response:
    return JSONResponse({"code": "not-allowed"}, 403)


async def busy(_: Request) -> Response:
    return JSONResponse({"code": "posts-stale"}, 503, headers={"retry-after": "10"})


TROUBLES: dict[str, Trouble] = {
    "owner-slow": slow,
    "owner-failed": failing,
    "owner-unreadable": garbage,
    "part-not-allowed": refusing,
    "owner-busy": busy,
}


def trouble_at(paths: set[str], trouble: Trouble) -> Trouble:
    async def answer(request: Request) -> Response:
        return await (trouble if request.url.path in paths else answering)(request)

    return answer


@pytest.fixture
def me(issuer: Issuer) -> dict[str, str]:
    return issuer.headers("officer") | {"Accept-Language": "en"}


async def test_an_overview_holds_what_each_owner_says_to_this_caller(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    owner.answer = answering
    answer = await gateway.get(OVERVIEW, headers=me | {"X-Request-ID": "request-of-a-test"})
    assert answer.status_code == 200
    found = answer.json()
    assert found["missing"] == []
    assert found["parts"]["membership"] == ANSWERS[f"/api/v1/members/{MEMBER}"]
    assert found["parts"]["cases"] == ANSWERS["/api/v1/cases"]
    assert found["parts"]["dossiers"] == found["parts"]["registrations"] == ANSWERS["/api/v1/dossiers"]
    asked = [seen for seen in owner.seen if seen["path"].startswith("/api")]
    assert len(asked) == 4
    assert {seen["authorization"] for seen in asked} == {me["Authorization"]}
    assert {seen["x-request-id"] for seen in asked} == {"request-of-a-test"}
    assert {seen["query"] for seen in asked} == {"", f"member={MEMBER}"}


@pytest.mark.parametrize("route", [OVERVIEW, PAGE, WORK], ids=["overview", "page", "work"])
async def test_nobody_gets_to_the_owners_without_a_token(
    gateway: httpx.AsyncClient, owner: Owner, route: str
) -> None:
    assert (await gateway.get(route)).status_code == 401
    assert not [seen for seen in owner.seen if seen["path"] != "/openapi.json"]


@pytest.mark.parametrize("code", TROUBLES)
async def test_an_overview_says_what_is_missing_and_why(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str], code: str
) -> None:
    owner.answer = trouble_at({"/api/v1/cases"}, TROUBLES[code])
    for language in ("en", "zh-CN"):
        answer = await gateway.get(OVERVIEW, headers=me | {"Accept-Language": language})
        assert answer.status_code == 200
        assert "110101199003070011" not in answer.text
        found = answer.json()
        [line] = found["missing"]
        assert (line["part"], line["service"], line["code"]) == ("cases", "welfare", code)
        assert "welfare" in line["text"]
        assert (found["parts"]["cases"], found["parts"]["membership"]["status"]) == (None, "active")


async def test_an_overview_with_owners_that_cannot_be_reached(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    owner.answer = answering
    owners = gateway._transport.app.state.owners  # type: ignore[attr-defined]
    owners["welfare"] = owners["events"] = "http://127.0.0.1:9"
    found = (await gateway.get(OVERVIEW, headers=me)).json()
    assert [(line["part"], line["code"]) for line in found["missing"]] == [
        ("cases", "owner-down"),
        ("dossiers", "owner-down"),
        ("registrations", "owner-down"),
    ]
    owners["membership"] = "http://127.0.0.1:9"
    answer = await gateway.get(OVERVIEW, headers=me)
    assert answer.status_code == 200
    assert len(answer.json()["missing"]) == 4


async def test_all_slow_owners_together_cost_one_deadline(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    owner.answer = slow
    found = await asyncio.wait_for(gateway.get(OVERVIEW, headers=me), 1.2)
    assert {line["code"] for line in found.json()["missing"]} == {"owner-slow"}


async def test_a_member_whom_membership_does_not_know_has_no_overview(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    owner.answer = answering
    answer = await gateway.get(f"/api/v1/members/{new_id()}/overview", headers=me)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert (await gateway.get("/api/v1/members/nobody/overview", headers=me)).status_code == 422


async def test_a_case_page_asks_for_all_names_at_once(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    owner.answer = answering
    answer = await gateway.get(PAGE, headers=me)
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"7"'
    found = answer.json()
    assert found["case"]["stage"] == "submitted"
    assert found["history"]["items"][0]["version"] == 1
    assert found["names"] == [{"id": str(MEMBER), "name": "张三", "member_number": "N1"}]
    assert found["missing"] == []
    assert len([seen for seen in owner.seen if seen["path"] == "/internal/v1/members/details"]) == 1


@pytest.mark.parametrize("code", TROUBLES)
async def test_a_case_page_without_its_history_or_its_names(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str], code: str
) -> None:
    for part, path in (
        ("history", f"/api/v1/cases/{CASE}/history"),
        ("names", "/internal/v1/members/details"),
    ):
        owner.answer = trouble_at({path}, TROUBLES[code])
        answer = await gateway.get(PAGE, headers=me)
        assert answer.status_code == 200
        found = answer.json()
        assert [(line["part"], line["code"]) for line in found["missing"]] == [(part, code)]
        assert found[part] is None
        assert found["case"]["stage"] == "submitted"


@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [
        (slow, 503, "owner-slow"),
        (failing, 503, "owner-failed"),
        (garbage, 503, "owner-unreadable"),
        (a_list, 503, "owner-unreadable"),
        (refusing, 403, "not-allowed"),
        (busy, 503, "owner-busy"),
    ],
)
async def test_without_the_case_there_is_no_page(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str], trouble: Trouble, status: int, code: str
) -> None:
    owner.answer = trouble_at({f"/api/v1/cases/{CASE}"}, trouble)
    answer = await gateway.get(PAGE, headers=me)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not [seen for seen in owner.seen if seen["path"] == "/internal/v1/members/details"]


async def test_names_that_are_no_names_are_missing(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    async def answer(request: Request) -> Response:
        if request.url.path == "/internal/v1/members/details":
            return JSONResponse({"items": [{"id": "nobody", "name": 5}]})
        return await answering(request)

    owner.answer = answer
    found = (await gateway.get(PAGE, headers=me)).json()
    assert (found["names"], found["missing"][0]["code"]) == (None, "owner-unreadable")


async def three_owners(gateway: httpx.AsyncClient, owner: Owner, lists: dict[str, Any]) -> None:
    """Each owner under a prefix of its own, so that one address can stand for all three."""
    for name in lists:
        gateway._transport.app.state.owners[name] = f"{owner.url}/{name}"  # type: ignore[attr-defined]

    async def answer(request: Request) -> Response:
        name = request.url.path.split("/")[1]
        found = lists.get(name)
        return found if isinstance(found, Response) else JSONResponse(found)

    owner.answer = answer


async def test_a_work_list_is_in_order_of_what_is_due(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str]
) -> None:
    later = work_item("case.approve", "2026-03-01T08:00:00Z", "2026-03-09")
    first = work_item("application.approve", "2026-03-02T08:00:00Z", "2026-03-05")
    oldest = work_item("activity.publish", "2026-01-02T08:00:00Z", None)
    newest = work_item("dossier.review", "2026-02-02T08:00:00+08:00", None)
    lists = {
        "membership": {"items": [first], "more": False},
        "welfare": {"items": [later, newest], "more": True},
        "events": {"items": [oldest]},
    }
    await three_owners(gateway, owner, lists)
    found = (await gateway.get(WORK, headers=me)).json()
    assert [item["id"] for item in found["items"]] == [one["id"] for one in (first, later, oldest, newest)]
    assert [item["service"] for item in found["items"]] == ["membership", "welfare", "events", "welfare"]
    assert (found["more"], found["missing"]) == (True, [])


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (Response(status_code=500), "owner-failed"),
        (Response(b"<html>"), "owner-unreadable"),
        ({"items": [{"kind": "x"}]}, "owner-unreadable"),
        ({"more": False}, "owner-unreadable"),
        (Response(status_code=403), "part-not-allowed"),
        (Response(status_code=404), "part-not-found"),
    ],
)
async def test_a_work_list_names_the_service_that_did_not_answer(
    gateway: httpx.AsyncClient, owner: Owner, me: dict[str, str], broken: object, code: str
) -> None:
    item = work_item("case.approve", "2026-03-01T08:00:00", None)
    await three_owners(
        gateway, owner, {"membership": {"items": []}, "welfare": {"items": [item]}, "events": broken}
    )
    answer = await gateway.get(WORK, headers=me)
    assert answer.status_code == 200
    found = answer.json()
    assert [one["id"] for one in found["items"]] == [item["id"]]
    assert [(line["part"], line["service"], line["code"]) for line in found["missing"]] == [
        ("events", "events", code)
    ]
