"""The verbs for officers, against a gateway that writes down what it is asked."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from typer.testing import CliRunner

from unionhall_cli import federation as federation_module
from unionhall_cli.federation import Federation
from unionhall_cli.main import app
from unionhall_cli.office import aggregate, payouts
from welfare_service.payouts.domain import MAX_LINES

ID = "01a1fea9-6506-7198-a008-defad0833c68"
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """What the gateway was asked; every case stands at version 7."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if request.method == "GET" and request.url.path.endswith(ID):
            return httpx.Response(200, json={"id": ID, "stage": "submitted"}, headers={"ETag": '"7"'})
        if request.method == "GET":
            page = {"items": [{"id": ID, "case_number": "2026-1", "stage": "submitted", "requested_fen": 5}]}
            return httpx.Response(200, json=page | {"next_cursor": None})
        return httpx.Response(200, json={"id": ID, "stage": "approved", "approved_fen": 123_456})

    serve(monkeypatch, answer)
    return requests


def serve(monkeypatch: pytest.MonkeyPatch, answer: Handler) -> None:
    """Let `answer` be the gateway; nobody signs in."""
    monkeypatch.setenv("UNIONHALL_LANG", "en")
    monkeypatch.setattr(federation_module, "gateway_url", lambda: "http://gateway")
    monkeypatch.setattr(federation_module, "token", lambda user: user)

    @contextmanager
    def opened(user: str) -> Iterator[Federation]:
        api = Federation(user)
        api._client = httpx.Client(base_url="http://gateway", transport=httpx.MockTransport(answer))
        yield api

    monkeypatch.setattr(aggregate, "federation", opened)


def test_a_step_carries_the_version_that_stands_and_a_key_of_its_own(asked: list[httpx.Request]) -> None:
    ran = CliRunner().invoke(app, ["case", "approve", ID, "--amount", "1234.56", "--json"])
    assert ran.exit_code == 0, ran.output
    read, sent = asked
    assert (read.method, sent.method, sent.url.path) == ("GET", "POST", f"/api/v1/cases/{ID}/approval")
    assert sent.headers["If-Match"] == '"7"'
    assert sent.headers["Authorization"] == "Bearer approver"
    assert json.loads(sent.content) == {"approved_fen": 123_456}
    CliRunner().invoke(app, ["case", "approve", ID])
    assert asked[-1].headers["Idempotency-Key"] != sent.headers["Idempotency-Key"]


def test_people_read_yuan_and_words_and_whole_ids(asked: list[httpx.Request]) -> None:
    assert "1234.56" in CliRunner().invoke(app, ["case", "approve", ID]).stdout
    listed = CliRunner().invoke(app, ["case", "list", "--stage", "submitted"])
    assert ID in listed.stdout
    assert "0.05" in listed.stdout
    assert dict(asked[-1].url.params) == {"limit": "20", "stage": "submitted"}


def test_a_statement_is_shown_to_its_last_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        first = int(request.url.params.get("cursor", "0"))
        last = min(450, first + int(request.url.params["limit"]))
        entries = [
            {"on": "2026-03-16", "kind": "income", "case_id": None, "reason": f"r{number}", "entry_id": ID}
            | {"lines": [{"account": "available", "amount_fen": 1}], "after": {"available_fen": number}}
            for number in range(first + 1, last + 1)
        ]
        page = {"budget": {"name": "送温暖"}, "opening": {"available_fen": first}, "entries": entries}
        closing = {"available_fen": last}
        cursor = str(last) if last < 450 else None
        return httpx.Response(200, json=page | {"closing": closing, "next_cursor": cursor})

    serve(monkeypatch, answer)
    ran = CliRunner().invoke(app, ["budget", "statement", ID, "--json"])
    shown = json.loads(ran.stdout)
    assert (len(shown["entries"]), shown["opening"]["available_fen"]) == (450, 0)
    assert (shown["closing"]["available_fen"], shown["next_cursor"]) == (450, None)
    part = CliRunner().invoke(app, ["budget", "statement", ID, "-n", "300"])
    assert "r300" in part.stdout
    assert "r301" not in part.stdout
    assert "The first 300 are listed" in part.stdout


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (
            ["payout", "resolve", ID, ID, "--resolution", "已核实"],
            f"/payouts/{ID}/findings/{ID}/resolution",
            {"resolution": "已核实"},
        ),
        (
            ["budget", "receive", ID, "--amount", "10.50", "--reason", "补拨"],
            f"/budgets/{ID}/income",
            {"amount_fen": 1050, "reason": "补拨"},
        ),
        (
            ["budget", "reverse", ID, ID, "--reason", "录入错误"],
            f"/budgets/{ID}/entries/{ID}/reversal",
            {"reason": "录入错误"},
        ),
        (
            ["case", "change", ID, "--amount", "800", "--reason", "补充了证明"],
            f"/cases/{ID}",
            {"requested_fen": 80_000, "reason": "补充了证明"},
        ),
    ],
)
def test_what_is_entered_is_what_the_gateway_is_asked(
    asked: list[httpx.Request], words: list[str], path: str, body: dict[str, object]
) -> None:
    ran = CliRunner().invoke(app, [*words, "--json"])
    assert ran.exit_code == 0, ran.output
    assert (asked[-1].url.path, json.loads(asked[-1].content)) == (f"/api/v1{path}", body)


def test_a_batch_is_as_large_as_the_service_takes() -> None:
    assert payouts.MOST_LINES == MAX_LINES


@pytest.mark.parametrize("amount", ["-1", "0", "1e9", "1.234", "NaN", "一百", ""])
def test_an_amount_that_is_none_never_reaches_the_gateway(asked: list[httpx.Request], amount: str) -> None:
    ran = CliRunner().invoke(app, ["case", "approve", ID, f"--amount={amount}"])
    assert ran.exit_code == 1
    assert "is no amount" in " ".join(ran.stderr.split())
    assert asked == []


def test_a_refusal_says_which_field_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = {
        "detail": "The request has faults.",
        "problems": [{"path": "requested_fen", "code": "amount-over-cap", "detail": "Ask for less."}],
    }
    serve(monkeypatch, lambda _: httpx.Response(422, json=problem))
    ran = CliRunner().invoke(app, ["case", "show", ID])
    assert ran.exit_code == 1
    assert "requested_fen: Ask for less." in " ".join(ran.stderr.split())


@pytest.mark.parametrize(
    "words",
    [
        ["payout", "prepare"],
        ["payout", "prepare", ID, "--all-approved"],
        ["activity", "check-in", ID],
        ["activity", "check-in", ID, "--code", "x"],
    ],
)
def test_words_that_do_not_fit_together_are_refused_at_once(
    asked: list[httpx.Request], words: list[str]
) -> None:
    assert CliRunner().invoke(app, words).exit_code == 1
    assert asked == []
