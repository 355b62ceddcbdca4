"""What is fetched is pinned, and what cannot be had is said."""

from pathlib import Path

import pytest

from tests.k8s import __main__ as command
from tests.k8s import tools


def test_everything_fetched_has_a_sum() -> None:
    for package in tools.PACKAGES["crds"].values():
        assert package.get("sum", "").startswith("h1:") or len(package.get("sha256", "")) == 64


def test_definitions_of_the_caller_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tools.CRDS_VARIABLE, str(tmp_path))
    assert tools.definitions() == tmp_path


@pytest.mark.parametrize(("allowed", "status"), [("1", 0), ("", 1)])
def test_without_kustomize_it_is_skipped_and_says_so(
    allowed: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("ALLOW_SKIP", allowed)
    monkeypatch.setattr(tools, "BUILD", tmp_path)
    assert command.main(["check"]) == status
    assert capsys.readouterr().out == "SKIPPED k8s-check: go is not installed\n"


def test_a_tool_that_is_missing_skips_its_check_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def look() -> list[str]:
        raise tools.Missing("no network")

    skipped: list[str] = []
    assert command._looked("linter", look, skipped) == []
    assert skipped == ["linter"]
    assert capsys.readouterr().out == "SKIPPED linter: no network\n"
