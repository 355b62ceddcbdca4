"""A case from application to statement, an activity from draft to feedback, a member from joining to leaving."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.kernel.clock import CHINA_OFFSET
from tests.support.command import Command, QuickCommand
from tests.support.stack import RunningStack

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def command(stack: RunningStack, tmp_path: Path) -> Command:
    """Dozens of verbs: none needs a process of its own."""
    return QuickCommand(stack, tmp_path)


COUNTY, ENTERPRISE = "990101", "990101001"
CARE = 50_000
CITY_OFFICER, CITY_TREASURER = "welfare-officer-city", "treasurer-city"


def until(read: Callable[[], Any], is_so: Callable[[Any], bool]) -> Any:
    """What `read` gives once it is so; events need a moment."""
    deadline = time.monotonic() + 60
    while True:
        found = read()
        if is_so(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def someone(stack: RunningStack, cases: list[dict[str, Any]]) -> dict[str, Any]:
    """A member of the county whom nobody has helped yet."""
    helped = {case["member_id"] for case in cases}
    with signed_in(stack, CITY_OFFICER) as client:
        county = unit_id(client, COUNTY)
        listed = client.get(
            "/api/v1/members", params={"organisation": county, "status": "active", "limit": 200}
        )
    found: dict[str, Any] = next(one for one in reversed(listed.json()["items"]) if one["id"] not in helped)
    return found


def signed_in(stack: RunningStack, user: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {stack.token(user)}"}
    return httpx.Client(base_url=stack.status.gateway, headers=headers, trust_env=False, timeout=30)


def unit_id(client: httpx.Client, code: str) -> str:
    held = client.get("/api/v1/organisations").json()
    own = next((unit["id"] for unit in held if unit["code"] == code), None)
    if own:
        return str(own)
    found = client.post("/api/v1/organisations/search", json={"within": held[0]["id"], "words": code}).json()
    return str(next(unit["id"] for unit in found["items"] if unit["code"] == code))


def send(client: httpx.Client, path: str, body: Any, version: int | None = None, expect: int = 200) -> Any:
    headers = {"Idempotency-Key": str(uuid4())} | ({"If-Match": f'"{version}"'} if version else {})
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer.json()


def apply_for(command: Command, member: str, name: str) -> dict[str, Any]:
    """A case of 职工慰问, drafted and submitted by the officer of the city."""
    words = ("--reason", "虚构", "--payee", name, "--account", "6200123412341111", "--user", CITY_OFFICER)
    case = command.json("case", "draft", "--member", member, "--programme", "职工慰问", *words)
    submitted: dict[str, Any] = command.json("case", "submit", case["id"], "--user", CITY_OFFICER)
    return submitted


def test_the_demo_has_aid_in_all_stages_and_payments_that_failed_or_are_unknown(
    command: Command, demo: dict[str, Any]
) -> None:
    assert (demo["dossiers"], demo["cases"], demo["activities"], demo["payouts"]) == (24, 50, 20, 3)
    cases = command.json("case", "list", "-n", "100", "--user", CITY_OFFICER)
    assert {case["stage"] for case in cases} == {
        "draft", "submitted", "returned", "rejected", "withdrawn", "approved", "cancelled", "disbursing", "paid", "acknowledged",
    }  # fmt: skip
    payouts = command.json("payout", "list", "--user", CITY_TREASURER)
    shown = [command.json("payout", "show", one["id"], "--user", CITY_TREASURER) for one in payouts]
    states = {line["state"] for payout in shown for line in payout["lines"]}
    assert states >= {"paid", "failed", "unknown"}
    activities = command.json("activity", "list", "-n", "100")
    assert {one["stage"] for one in activities} >= {
        "draft", "submitted", "approved", "published", "open", "closed", "held", "archived", "cancelled"
    }  # fmt: skip


def test_a_case_goes_from_application_to_bank_and_statement(
    stack: RunningStack, command: Command, demo: dict[str, Any]
) -> None:
    assert demo["cases"]
    who = someone(stack, command.json("case", "list", "-n", "500", "--user", CITY_OFFICER))
    case = apply_for(command, who["id"], who["name"])
    refused = command.run("case", "approve", case["id"], "--user", CITY_OFFICER)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    approved = command.json("case", "approve", case["id"])
    assert (approved["stage"], approved["approved_fen"]) == ("approved", CARE)
    payout = command.json("payout", "prepare", case["id"], "--unit", COUNTY)
    own = command.run("payout", "send", payout["id"], "--user", "treasurer")
    assert own.returncode == 1, "whoever prepared it must not send it"
    command.json("payout", "send", payout["id"])
    until(
        lambda: command.json("payout", "show", payout["id"]),
        lambda shown: [line["state"] for line in shown["lines"]] == ["paid"],
    )
    assert command.json("payout", "close", payout["id"])["state"] == "closed"
    acknowledged = command.json("case", "acknowledge", case["id"])
    assert (acknowledged["stage"], acknowledged["paid_fen"]) == ("acknowledged", CARE)
    history = command.json("case", "show", case["id"])["history"]
    assert [step["happening"] for step in history] == [
        "drafted", "submitted", "approved", "disbursing", "paid", "acknowledged"
    ]  # fmt: skip
    kinds = [
        entry["kind"]
        for budget in command.json("budget", "list", "--user", CITY_TREASURER)
        for entry in command.json("budget", "statement", budget["id"], "--user", CITY_TREASURER)["entries"]
        if entry["case_id"] == case["id"]
    ]
    assert kinds == ["reservation", "payment"]


def test_an_activity_goes_from_draft_to_feedback_with_a_full_waiting_list(
    command: Command, demo: dict[str, Any]
) -> None:
    assert demo["activities"]
    # Members may check in from two hours before it begins: nothing here waits for that.
    starts = datetime.now(UTC) + CHINA_OFFSET + timedelta(minutes=110)
    written, ended = (f"{moment:%Y-%m-%dT%H:%M:%S}" for moment in (starts, starts + timedelta(hours=1)))
    times = ("--starts", written, "--ends", ended, "--opens", "2026-01-01 00:00", "--closes", written)
    plan = ("--title", "象棋赛", "--place", "职工之家", "--kind", "competition", "--capacity", "2")
    activity = command.json("activity", "draft", *plan, *times)
    for step, stage in (
        ("submit", "submitted"),
        ("approve", "approved"),
        ("publish", "published"),
        ("open", "open"),
    ):
        assert command.json("activity", step, activity["id"])["stage"] == stage
    users = ("member", "member-2", "member-3", "member-4")
    seats = [command.json("activity", "register", activity["id"], "--user", user) for user in users]
    assert [seat["status"] for seat in seats] == ["confirmed", "confirmed", "waiting", "waiting"]
    twice = command.run("activity", "register", activity["id"])
    assert twice.returncode == 1
    command.json("activity", "cancel-registration", seats[0]["id"])
    counts = command.json("activity", "show", activity["id"])["counts"]
    assert counts == {"entered": 0, "confirmed": 2, "waiting": 1, "cancelled": 1}

    assert command.run("activity", "hold", activity["id"]).returncode == 1, "it has not begun"
    assert command.json("activity", "close", activity["id"])["stage"] == "closed"
    # The first who waited has the seat of the one who gave it up; the second has none.
    command.json("activity", "check-in", activity["id"], "--registration", seats[2]["id"])
    nobody = command.run("activity", "check-in", activity["id"], "--registration", seats[3]["id"])
    assert nobody.returncode == 1
    given = command.json(
        "activity", "feedback", seats[2]["id"], "--score", "5", "--comment", "好", "--user", "member-3"
    )
    assert given["score"] == 5
    summary = command.json("activity", "feedback", activity["id"])
    assert (summary["attended"], summary["suppressed"]) == (1, True)


def test_a_member_joins_is_helped_takes_part_and_leaves(
    stack: RunningStack, command: Command, demo: dict[str, Any]
) -> None:
    with signed_in(stack, "registrar-enterprise") as clerk, signed_in(stack, "registrar-county") as registrar:
        person = {
            "name": "虚构生", "document_type": "passport", "document_number": "ZZ9900001", "gender": "female",
            "birth_date": "1990-05-01",
        }  # fmt: skip
        body = person | {"organisation_id": unit_id(clerk, ENTERPRISE)}
        member = send(clerk, "/api/v1/members/applications", body, expect=201)
        address = f"/api/v1/members/{member['id']}"
        joined = send(registrar, f"{address}/approval", None, member["version"])
        until(
            lambda: command.run("activity", "register", demo["try"]["activity"], "--member", member["id"], "--user", "organiser"),
            lambda ran: ran.returncode == 0,
        )  # fmt: skip
        case = apply_for(command, member["id"], "虚构生")
        send(registrar, f"{address}/withdrawal", {"reason": "离职"}, joined["version"])
    with signed_in(stack, "auditor") as auditor:

        def overview() -> Any:
            return auditor.get(f"{address}/overview").json()

        def is_told(found: Any) -> bool:
            parts = found["parts"]
            registrations = parts["registrations"]["items"]
            return bool(parts["cases"]["items"][0]["flagged"] and registrations[0]["status"] == "cancelled")

        shown = until(overview, is_told)
        assert shown["missing"] == []
        assert shown["parts"]["membership"]["status"] == "withdrawn"
        assert shown["parts"]["cases"]["items"][0]["id"] == case["id"]
        wanted = {
            "unionhall.membership.member.admitted.v1",
            "unionhall.membership.member.withdrawn.v1",
            "unionhall.welfare.case.submitted.v1",
            "unionhall.events.registration.registered.v1",
            "unionhall.events.registration.cancelled.v1",
        }
        until(
            lambda: {one["type"] for one in auditor.get(f"{address}/timeline").json()["items"]},
            lambda types: types >= wanted,
        )
