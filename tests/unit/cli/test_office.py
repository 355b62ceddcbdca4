"""The verbs for officers, against a gateway that writes down what it is asked."""

import json

import httpx
import pytest
from rich.cells import cell_len
from rich.console import Console
from typer.testing import CliRunner

from local_stack.users import demo_user
from tests.unit.cli.conftest import Serve
from unionhall_cli import output
from unionhall_cli.main import app
from unionhall_cli.office import payouts
from welfare_service.payouts.domain import MAX_LINES

ID = "01a1fea9-6506-7198-a008-defad0833c68"


@pytest.fixture
def asked(serve: Serve) -> list[httpx.Request]:
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

    serve(answer)
    return requests


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


BUDGET = {
    "id": ID, "name": "送温暖", "allocated_fen": 300_000_000, "reserved_fen": 150_000, "paid_fen": 4_200,
    "available_fen": 299_845_800,
}  # fmt: skip


@pytest.mark.parametrize("field", ["actor_subject", "approved_by_subject", "by"])
def test_a_demo_user_is_shown_by_name_and_nobody_else(field: str) -> None:
    officer = demo_user("welfare-officer")
    assert officer
    # As --user takes it, though the role of the same name has words.
    assert output.shown(field, {field: officer.subject}) == "welfare-officer"
    assert output.shown(field, {field: ID}) == ID
    assert output.shown("id", {"id": officer.subject}) == officer.subject


def test_a_statement_is_shown_to_its_last_entry(serve: Serve) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        first = int(request.url.params.get("cursor", "0"))
        last = min(450, first + int(request.url.params["limit"]))
        entries = [
            {"on": "2026-03-16", "kind": "income", "case_id": None, "reason": f"r{number}", "entry_id": ID}
            | {"lines": [{"account": "available", "amount_fen": 1}], "after": {"available_fen": number}}
            for number in range(first + 1, last + 1)
        ]
        budget = BUDGET | {"version": 450}
        page = {"budget": budget, "opening": {"available_fen": first}, "entries": entries}
        closing = {"available_fen": last}
        cursor = str(last) if last < 450 else None
        return httpx.Response(200, json=page | {"closing": closing, "next_cursor": cursor})

    serve(answer)
    ran = CliRunner().invoke(app, ["budget", "statement", ID, "--json"])
    shown = json.loads(ran.stdout)
    assert (len(shown["entries"]), shown["opening"]["available_fen"]) == (450, 0)
    assert (shown["closing"]["available_fen"], shown["next_cursor"]) == (450, None)
    part = CliRunner().invoke(app, ["budget", "statement", ID, "-n", "300"])
    assert "r300" in part.stdout
    assert "r301" not in part.stdout
    assert "The oldest 300 of 450 entries are listed" in part.stdout
    for own in ("3000000.00", "1500.00", "42.00", "2998458.00"):
        assert own in part.stdout, (
            "the figures are the budget's, not those after the last entry that is shown"
        )
    assert "are listed" not in CliRunner().invoke(app, ["budget", "statement", ID]).stdout


@pytest.mark.parametrize(
    ("lines", "moved"),
    [
        ({"outside": -500, "available": 500}, "5.00"),
        ({"available": -40_000_000}, "-400000.00"),
        ({"available": 40_000_000}, "400000.00"),
        ({"available": -160_000, "reserved": 160_000}, "1600.00"),
        ({"reserved": -160_000, "paid": 160_000}, "1600.00"),
        ({"outside": 500, "available": -500}, "-5.00"),
    ],
    ids=["income", "handed-down", "received", "reserved", "paid", "income-reversed"],
)
def test_an_entry_says_what_it_moved(serve: Serve, lines: dict[str, int], moved: str) -> None:
    entry = {
        "on": "2026-03-16", "kind": "allocation", "case_id": None, "reason": None, "entry_id": ID,
        "lines": [{"account": name, "amount_fen": amount} for name, amount in lines.items()],
        "after": {"available_fen": 7},
    }  # fmt: skip
    page = {"budget": BUDGET | {"version": 1}, "entries": [entry], "closing": {}, "next_cursor": None}
    serve(lambda _: httpx.Response(200, json=page))
    shown = CliRunner().invoke(app, ["budget", "statement", ID]).stdout
    assert moved in [word.strip("·") for word in shown.replace("│", " ").split()]


@pytest.mark.parametrize(
    ("words", "item"),
    [
        (["budget", "list"], BUDGET),
        (
            ["case", "list"],
            {"id": ID, "case_number": "2026-00000001", "stage": "submitted", "requested_fen": 150_000, "due_on": "2026-11-27"},
        ),
        (
            ["dossier", "list"],
            {"id": ID, "number": "990101-2026-0001", "status": "open", "hardship_class": "accidental", "primary_cause": "x" * 90},
        ),
    ],
)  # fmt: skip
def test_a_pipe_of_80_columns_loses_no_column(
    monkeypatch: pytest.MonkeyPatch, serve: Serve, words: list[str], item: dict[str, object]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    serve(lambda _: httpx.Response(200, json={"items": [item], "next_cursor": None}))
    shown = CliRunner().invoke(app, words).stdout
    assert max(map(len, shown.splitlines())) <= 80
    joined = "".join(shown.split())
    for field in item:
        assert "".join(output.shown(field, item).split()) in joined, field
        assert "".join(output.heading(field).split()) in joined, field
    assert ID in shown, "in one piece"
    assert "…" not in shown


def test_a_table_that_just_fits_keeps_its_border_and_its_ids(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNIONHALL_LANG", "en")
    monkeypatch.setattr(output, "console", Console(width=80))
    told = {"happening": "drafted", "happened_at": "2026-11-21T10:00:00+00:00", "actor_subject": ID}
    output.show_rows((*told, "reason"), [told | {"reason": "家庭遇到困难" * 8}])
    lines = capsys.readouterr().out.splitlines()
    assert {cell_len(line) for line in lines} == {80}
    assert ID in "".join(lines)
    assert sum(line.count("难") for line in lines) == 8


def test_who_waits_is_told_how_many_stand_before(serve: Serve) -> None:
    made = {"id": ID, "activity_id": ID, "status": "waiting", "version": 1}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, json=made)
        assert request.url.path == f"/api/v1/registrations/{ID}"
        return httpx.Response(200, json=made | {"ahead": 6})

    serve(answer)
    ran = CliRunner().invoke(app, ["activity", "register", ID, "--json"])
    assert json.loads(ran.stdout) == made | {"ahead": 6}


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


def test_a_refusal_says_which_field_and_what_to_do(serve: Serve) -> None:
    problem = {
        "detail": "The request has faults.",
        "problems": [{"path": "requested_fen", "code": "amount-over-cap", "detail": "Ask for less."}],
    }
    serve(lambda _: httpx.Response(422, json=problem))
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
