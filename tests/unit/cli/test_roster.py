"""The verbs for rosters, against a gateway that refuses a file."""

import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tests.unit.cli.conftest import Serve
from unionhall_cli.main import app

ID = "01a1fea9-6506-7198-a008-defad0833c68"
REFUSED = {
    "id": ID, "state": "refused", "progress": 1.0, "rows": 0, "given_up": False,
    "refusal": {"code": "roster-header-missing", "text": "No header."}, "warnings": [],
}  # fmt: skip
UNATTENDED = REFUSED | {
    "state": "checking",
    "refusal": None,
    "warnings": [{"code": "roster-unattended", "count": 1, "text": "Nobody works."}],
}


@pytest.fixture
def looks() -> list[dict[str, object]]:
    """What the next looks at the import see; after them it is refused."""
    return []


@pytest.fixture(autouse=True)
def gateway(serve: Serve, looks: list[dict[str, object]]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/organisations":
            return httpx.Response(200, json=[{"id": ID, "code": "99"}])
        if request.method == "POST":
            return httpx.Response(202, json=UNATTENDED)
        return httpx.Response(200, json=looks.pop() if looks else REFUSED)

    serve(answer)


@pytest.mark.parametrize("verb", ["check", "import"])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_refused_file_fails_and_is_told_to_people_and_to_programs(
    tmp_path: Path, verb: str, options: list[str]
) -> None:
    file = tmp_path / "r.csv"
    file.write_text("hello,world\n", encoding="utf-8")
    ran = CliRunner().invoke(app, ["roster", verb, str(file), *options])
    assert ran.exit_code == 1
    assert "The file cannot be used: No header." in " ".join(ran.stderr.split())
    assert "文件不能使用" not in ran.stderr, "half a sentence in each language"
    if options:
        assert json.loads(ran.stdout)["refusal"]["code"] == "roster-header-missing"
    else:
        assert ran.stdout == ""


def test_an_import_that_nobody_works_on_says_so_once(tmp_path: Path, looks: list[dict[str, object]]) -> None:
    looks += [UNATTENDED] * 3
    file = tmp_path / "r.csv"
    file.write_text("hello,world\n", encoding="utf-8")
    ran = CliRunner().invoke(app, ["roster", "check", str(file)])
    assert ran.stderr.count("Nobody works.") == 1


def problem(row: int, code: str) -> dict[str, object]:
    """A row with one problem."""
    told = {"column": "姓名", "code": code, "value": "", "reason": f"why{row}.", "remedy": "Mend it."}
    return {"row": row, "outcome": "rejected", "problems": [told]}


@pytest.mark.parametrize(("state", "told"), [("checked", "why1."), ("undone", "why250.")])
def test_problems_that_are_not_listed_are_told_of(serve: Serve, state: str, told: str) -> None:
    old = [problem(row, "roster-required") for row in range(1, 201)]
    kept = [problem(row, "roster-undo-changed-since") for row in range(250, 262)]
    counts = dict.fromkeys(("created", "updated", "unchanged"), 0)
    found = REFUSED | counts | {
        "state": state, "refusal": None, "rows": 300, "rejected": 200, "undone": 3, "kept": 12,
        "file_name": "r.csv", "same_file_as": None,
    }  # fmt: skip

    def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/problems"):
            return httpx.Response(200, json=found)
        after, limit = int(request.url.params.get("cursor", "0")), int(request.url.params["limit"])
        listed = [*old, *kept] if state == "undone" else old
        cursor = str(after + limit) if after + limit < len(listed) else None
        return httpx.Response(200, json={"items": listed[after : after + limit], "next_cursor": cursor})

    serve(answer)
    ran = CliRunner().invoke(app, ["roster", "status", ID])
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.count("Mend it.") == 10
    assert told in ran.stdout
    assert ("why1." in ran.stdout) == (state == "checked")
    assert "not listed here" in ran.stdout


@pytest.mark.parametrize(
    "verb", [["import", ID], ["cancel", ID], ["undo", ID, "--reason", "wrong file"]], ids=lambda verb: verb[0]
)
def test_a_step_is_asked_of_the_import_as_it_was_read(serve: Serve, verb: list[str]) -> None:
    found = REFUSED | {"state": "checked", "refusal": None, "version": 4}
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            asked.append(request)
            return httpx.Response(412, json={"detail": "It changed meanwhile."})
        return httpx.Response(200, json=found)

    serve(answer)
    ran = CliRunner().invoke(app, ["roster", *verb])
    assert ran.exit_code == 1
    assert "It changed meanwhile." in ran.stderr
    (step,) = asked
    assert step.headers["If-Match"] == '"4"'
    assert step.headers["Idempotency-Key"]
