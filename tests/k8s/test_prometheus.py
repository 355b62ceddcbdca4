"""What Prometheus is asked to read, and how its refusal is told."""

from pathlib import Path

import pytest

from tests.k8s import prometheus, tools
from tests.k8s.sample import sample

READER = tools.BUILD / "bin/rules"
#: A stand-in says what the real one does, which `make k8s-check` builds.
SAYS = {
    "taken": ("echo '2 rules'", True),
    "another file": ("echo '0 rules'", False),
    "nothing": ("true", False),
    "refused": ("echo 'parse error'; exit 1", False),
}


@pytest.mark.parametrize("what", SAYS)
def test_only_what_was_read_and_taken_is_without_fault(what: str, tmp_path: Path) -> None:
    program, taken = SAYS[what]
    rules, stand_in = tmp_path / "rules.yml", tmp_path / "reader"
    rules.write_text("groups: [{name: a, rules: [{alert: A, expr: up}, {alert: B, expr: up}]}]", "utf-8")
    stand_in.write_text(f"#!/bin/sh\n{program}\n", "utf-8")
    stand_in.chmod(0o755)
    assert (prometheus.refused(stand_in, rules) == []) is taken


def test_every_panel_and_every_scaler_asks() -> None:
    assert len(list(prometheus.of_dashboards())) > 20
    trigger = {"type": "prometheus", "metadata": {"query": "max(up)"}}
    other = {"type": "cpu", "metadata": {"value": "70"}}
    scaled = {"kind": "ScaledObject", "metadata": {"name": "s"}, "spec": {"triggers": [trigger, other]}}
    assert list(prometheus.of_scalers([sample(scaled)])) == [("ScaledObject s", "max(up)")]


@pytest.mark.skipif(not READER.exists(), reason="make k8s-check builds the reader")
@pytest.mark.parametrize("asked", ["sum by (service (up)", "rate(up)", "no_such_function(up)"])
def test_a_planted_question_that_is_none_is_noticed(asked: str, tmp_path: Path) -> None:
    trigger = {"type": "prometheus", "metadata": {"query": asked}}
    scaled = {"kind": "ScaledObject", "metadata": {"name": "planted"}, "spec": {"triggers": [trigger]}}
    found = prometheus.complaints(READER, [sample(scaled)], tmp_path / "questions.yml")
    assert len(found) == 1
    assert "planted" in found[0]
