"""Every target of the Makefile says what it does, and the promised ones exist."""

import re

from tests.architecture.sources import ROOT

PROMISED = {
    "demo",
    "down",
    "test",
    "lint",
    "types",
    "check",
    "bench",
    "faults",
    "docs",
    "lock",
    "clean",
    "help",
}
_TARGET = re.compile(r"^([a-z][a-z0-9-]*):(?!=)(.*)$", re.MULTILINE)


def targets_without_help(makefile: str) -> set[str]:
    """Targets that people type and that carry no `## ` line."""
    return {name for name, rest in _TARGET.findall(makefile) if "  ## " not in rest}


def test_every_target_has_a_help_line() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert not targets_without_help(makefile)
    assert {name for name, _ in _TARGET.findall(makefile)} >= PROMISED


def test_every_target_is_phony() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    assert phony == {name for name, _ in _TARGET.findall(makefile)}


def test_a_planted_target_without_help_is_noticed() -> None:
    assert targets_without_help("a: b  ## Say\n\ndeploy: a\n\t@true\nX := 1\n") == {"deploy"}


def test_ci_runs_the_check() -> None:
    assert re.search(r"^timeout .* make .*\bcheck\b", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE)
    assert re.search(r"^check: lint types ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
