import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
import typer
from rich.console import Console
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from local_stack import control
from local_stack.processes import LocalStackError
from local_stack.state import Failure, ProcessStatus, StackStatus
from unionhall_cli import doctor, main, output
from unionhall_cli.main import app
from unionhall_cli.operations import dead_letters, services

CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of a local stack was ever there."""
    monkeypatch.setenv("UNIONHALL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UNIONHALL_LANG", "en")
    return tmp_path / "home"


def words_of(said: str) -> str:
    """What was said, without the line breaks of a terminal."""
    return " ".join(said.split())


def verbs(group: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Every verb and group with its whole name."""
    yield name, group
    for word, below in getattr(group, "commands", {}).items():
        yield from verbs(below, f"{name} {word}".strip())


def test_every_verb_and_every_option_says_in_both_languages_what_it_is() -> None:
    told = list(verbs(typer.main.get_command(app)))
    assert len(told) > 20
    for name, verb in told:
        texts = [(name, verb.help)]  # type: ignore[attr-defined]
        texts += [(f"{name} {one.name}", one.help) for one in verb.params if one.name != "help"]  # type: ignore[attr-defined]
        for what, help_text in texts:
            assert help_text is not None, what
            chinese, slash, english = help_text.partition(" / ")
            assert slash, what
            assert CHINESE.search(chinese), what
            assert not CHINESE.search(english), what


def test_every_verb_answers_in_json() -> None:
    for name, verb in verbs(typer.main.get_command(app)):
        if not hasattr(verb, "commands"):
            assert "as_json" in {one.name for one in verb.params}, name  # type: ignore[attr-defined]


def test_the_status_of_nothing_begins_with_the_gateway_and_fails() -> None:
    ran = CliRunner().invoke(app, ["status", "--json"])
    assert ran.exit_code == 1
    assert next(iter(json.loads(ran.stdout))) == "gateway"
    assert json.loads(ran.stdout)["phase"] == "stopped"


@pytest.mark.parametrize(
    "verb",
    [
        ["token", "--user", "auditor"],
        ["roster", "status"],
        ["event", "tail"],
        ["event", "lag"],
        ["dead-letters", "list"],
        ["outbox", "status"],
        ["projection", "rebuild"],
        ["admin", "bootstrap", "--organisation-name", "示例"],
        ["verify"],
        ["case", "list"],
        ["dossier", "list"],
        ["budget", "list"],
        ["payout", "list"],
        ["activity", "list"],
    ],
)
def test_without_a_stack_both_languages_say_what_to_do(verb: list[str]) -> None:
    ran = CliRunner().invoke(app, verb)
    assert ran.exit_code == 1
    assert "The local stack does not run. Run: unionhall up" in words_of(ran.stderr)
    assert "本地环境没有运行" in ran.stderr
    assert "Traceback" not in ran.output


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (
            LocalStackError("local-ended", name="kafka", code=1, log="k.log", output="[/x] disk full"),
            "✗ kafka ended with code 1; k.log: [/x] disk full",
        ),
        (OperationalError("SELECT 1", {}, OSError("refused")), "The database or Kafka refused"),
        (PermissionError(13, "Permission denied", "/x"), "Permission denied: /x"),
    ],
)
def test_what_the_machine_refuses_is_one_sentence(
    problem: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise problem

    monkeypatch.setattr(control, "down", refuse)
    ran = CliRunner().invoke(app, ["down"])
    assert ran.exit_code == 1
    assert sentence in words_of(ran.stderr)
    assert "Traceback" not in ran.output


@pytest.mark.parametrize(
    ("language", "sentence", "other"),
    [
        ("zh_CN.UTF-8", "kafka 在 90 秒内没有就绪；日志 k.log： disk full", "not ready"),
        ("en_GB.UTF-8", "kafka was not ready after 90 s; k.log: disk full", "没有就绪"),
    ],
)
def test_what_stops_the_local_stack_is_said_in_the_language_of_the_terminal(
    language: str, sentence: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    params: dict[str, str | int] = {"name": "kafka", "seconds": 90, "log": "k.log", "output": "disk full"}
    failed = StackStatus(phase="failed", error=Failure("local-not-ready", params))

    def refuse() -> None:
        raise LocalStackError("local-not-ready", **params)

    monkeypatch.setenv("UNIONHALL_LANG", language)
    monkeypatch.setattr(control, "down", refuse)
    monkeypatch.setattr(control, "status", lambda: failed)
    down, status = (CliRunner().invoke(app, [verb]) for verb in ("down", "status"))
    as_json = CliRunner().invoke(app, ["status", "--json"])
    assert (down.exit_code, status.exit_code, as_json.exit_code) == (1, 1, 1)
    for told in (down.stderr, status.stdout, json.loads(as_json.stdout)["error"]):
        assert sentence in words_of(told)
        assert other not in told


def test_a_mistake_of_ours_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(control, "down", fail)
    assert isinstance(CliRunner().invoke(app, ["down"]).exception, ZeroDivisionError)


def test_the_terminal_s_language_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIONHALL_LANG", "zh")
    said = CliRunner().invoke(app, ["token", "--user", "auditor"]).stderr
    assert said.index("本地环境没有运行") < said.index("The local stack")


def test_logs_end_with_the_lines_asked_for(home: Path) -> None:
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "gateway.log").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (home / "logs" / "membership.log").write_text("four\n", encoding="utf-8")
    assert CliRunner().invoke(app, ["logs", "gateway", "-n", "2"]).stdout == "two\nthree\n"
    everything = CliRunner().invoke(app, ["logs", "--json"]).stdout.splitlines()
    assert [json.loads(line) for line in everything][-1] == {"process": "membership", "line": "four"}
    unknown = CliRunner().invoke(app, ["logs", "nobody"])
    assert unknown.exit_code == 1
    assert "gateway, membership" in words_of(unknown.stderr)


def test_the_doctor_looks_at_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "accepts", lambda port: port == 8000)
    ran = CliRunner().invoke(app, ["doctor", "--json"])
    found = json.loads(ran.stdout)
    assert {"doctor-python", "doctor-java", "doctor-stack-stopped"} <= {
        one["name"] for one in found["findings"]
    }
    assert "gateway 8000" in next(
        one["text"] for one in found["findings"] if one["name"] == "doctor-ports-taken"
    )
    assert ran.exit_code == (0 if found["ok"] else 1)


def test_the_doctor_names_what_is_down_in_the_reader_s_words(monkeypatch: pytest.MonkeyPatch) -> None:
    down = ProcessStatus("gateway", "backoff", None, 8000, 1, 0.0, "gateway.log")
    found = StackStatus(phase="running", processes=(down,))
    monkeypatch.setattr(control, "status", lambda _layout: found)
    monkeypatch.setenv("UNIONHALL_LANG", "zh")
    ran = CliRunner().invoke(app, ["doctor", "--json"])
    assert ran.exit_code == 1
    (text,) = [
        one["text"] for one in json.loads(ran.stdout)["findings"] if one["name"] == "doctor-process-down"
    ]
    assert "等待重启" in text
    assert "backoff" not in text


def test_a_redrive_wants_to_know_of_what() -> None:
    ran = CliRunner().invoke(app, ["dead-letters", "redrive"])
    assert ran.exit_code == 1
    assert "--all" in ran.stderr


def test_down_says_that_nothing_ran() -> None:
    assert json.loads(CliRunner().invoke(app, ["down", "--json"]).stdout) == {"stopped": False}
    assert control.status().phase == "stopped"
    assert main.app is app


def test_an_id_is_never_cut_and_nothing_else_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = "01a1ff2e-7a7b-7699-a08e-dcb4d070e37a"
    topic = "unionhall.membership.members.v1[31]@1038"
    monkeypatch.setattr(output, "console", Console(width=80))
    output.show_table(
        ["column-letter", "column-consumer", "column-event", "column-place", "column-tries", "column-cause"],
        [
            (
                first,
                "welfare.directory",
                "unionhall.membership.member.admitted.v1",
                topic,
                3,
                "KeyError: 'organisation_id'",
            )
        ],
    )
    shown = capsys.readouterr().out
    assert first in shown
    assert "…" not in shown
    for cell in (
        "welfare.directory",
        "unionhall.membership.member.admitted.v1",
        topic,
        "KeyError: 'organisation_id'",
    ):
        assert cell in " ".join(shown.split())


def test_a_closed_dead_letter_says_where_and_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    first = "01a1ff2e-7a7b-7699-a08e-dcb4d070e37a"
    closed: list[tuple[str, str]] = []

    async def close_letter(_: object, letter: UUID, *, by: str, reason: str, now: datetime) -> int | None:
        assert by
        assert now.tzinfo
        closed.append((str(letter), reason))
        return 2 if len(closed) == 2 else None

    @asynccontextmanager
    async def database(_: str) -> AsyncIterator[None]:
        yield None

    monkeypatch.setattr(dead_letters, "close_letter", close_letter)
    monkeypatch.setattr(services, "running", lambda: None)
    monkeypatch.setattr(services, "database", database)
    ran = CliRunner().invoke(app, ["dead-letters", "close", first, "--reason", " foreign writer ", "--json"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout) == {"service": services.names()[1], "id": first, "behind": 2}
    assert closed == [(first, "foreign writer")] * 2
    gone = CliRunner().invoke(app, ["dead-letters", "close", first, "--reason", "again"])
    assert gone.exit_code == 1
    assert "is open" in words_of(gone.stderr)
    assert CliRunner().invoke(app, ["dead-letters", "close", first, "--reason", " "]).exit_code == 1
    assert CliRunner().invoke(app, ["dead-letters", "close", first]).exit_code == 2
