"""Alerts and dashboards name metrics, labels, processes and pages that exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from shared.observability.metrics import REGISTRY
from tests.architecture.sources import ROOT
from tests.architecture.test_compose import composed

FOLDER = ROOT / "deploy/observability"
DASHBOARDS = tuple(sorted((FOLDER / "grafana").glob("*.json")))
#: Prometheus' own, and the labels that it sets on every target.
FOREIGN = {"up"}
TARGET_LABELS = {"job", "service", "process", "instance"}
_NAME = re.compile(r"\b(?:unionhall|process|python)_[a-z_]+\b|\bup\b")
_MATCHED = re.compile(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"")
_SHOWN = re.compile(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}")
_BY = re.compile(r"\bby \(([a-z_, ]+)\)")


def exposed() -> dict[str, set[str]]:
    """What `/metrics` may show: name of a series -> its own labels."""
    found: dict[str, set[str]] = {}
    for metric in REGISTRY.collect():
        collector = REGISTRY._names_to_collectors.get(metric.name)
        labels = set(getattr(collector, "_labelnames", ()))
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(
            metric.type, ("",)
        )
        for suffix in suffixes:
            found[metric.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return found


def alerts() -> list[dict[str, Any]]:
    """The rules."""
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str, str]]:
    """Where, what is asked, and the words that show its labels."""
    for rule in alerts():
        yield rule["alert"], rule["expr"], " ".join(rule["annotations"].values())
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"], target["legendFormat"]


def breaches(where: str, expression: str, words: str) -> list[str]:
    """Series and labels that do not exist."""
    series = exposed()
    named = set(_NAME.findall(expression))
    unknown = named - series.keys() - FOREIGN
    labels = TARGET_LABELS.union(*(series.get(name, set()) for name in named))
    grouped = {label.strip() for found in _BY.findall(expression) for label in found.split(",")}
    asked = set(_MATCHED.findall(expression)) | grouped | set(_SHOWN.findall(words))
    return [f"{where}: no {name}" for name in sorted(unknown) + sorted(asked - labels)]


def test_every_metric_and_label_exists() -> None:
    asked = list(expressions())
    assert len(asked) > 30
    assert not [breach for one in asked for breach in breaches(*one)]


def test_planted_unknown_ones_are_noticed() -> None:
    assert breaches("x", "unionhall_made_up > 0", "") == ["x: no unionhall_made_up"]
    planted = 'sum by (ghost) (unionhall_dead_letters{spirit="1"})'
    assert breaches("x", planted, "{{ $labels.shade }}") == ["x: no ghost", "x: no shade", "x: no spirit"]


def test_every_alert_has_a_runbook_and_a_severity() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    for rule in alerts():
        assert (ROOT / rule["annotations"]["runbook"]).is_file(), rule["alert"]
        assert rule["labels"]["severity"] in {"page", "morning"}, rule["alert"]


def test_every_process_of_compose_is_scraped_where_it_answers() -> None:
    [job] = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    scraped = {target for config in job["static_configs"] for target in config["targets"]}
    services = composed()["services"]
    programs = {name for name in services if f"{name.removesuffix('-worker')}-migrate" in services}
    assert scraped == {f"{name}:{9090 if name.endswith('-worker') else 8080}" for name in programs}


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool")
def test_prometheus_itself_takes_the_files() -> None:
    checked = subprocess.run(
        ["promtool", "check", "config", str(FOLDER / "prometheus.yml")],  # noqa: S607 - whichever is there
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
