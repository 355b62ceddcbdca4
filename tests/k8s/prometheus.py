"""Prometheus' own reader reads what is written for it: the alerts, and what dashboards and KEDA ask of it."""

import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from tests.k8s.manifests import ROOT, Build

FOLDER = ROOT / "deploy/observability"
Question = tuple[str, str]


def complaints(reader: Path, builds: Iterable[Build], scratch: Path) -> list[str]:
    """What Prometheus would refuse; `scratch` becomes a file of all questions."""
    scratch.write_text(_as_rules({*of_dashboards(), *of_scalers(builds)}), "utf-8")
    return [*refused(reader, FOLDER / "alerts.yml"), *refused(reader, scratch)]


def refused(reader: Path, file: Path) -> list[str]:
    """What the reader says against a file; one in which it sees other rules than we do was not read."""
    ran = subprocess.run([str(reader), str(file)], capture_output=True, text=True, check=False, timeout=120)
    groups = yaml.safe_load(file.read_text("utf-8"))["groups"]
    count = sum(len(group["rules"]) for group in groups)
    if ran.returncode == 0 and ran.stdout == f"{count} rules\n":
        return []
    return [f"{file.name}: {' '.join((ran.stdout + ran.stderr).split())}"]


def of_dashboards() -> Iterator[Question]:
    """Where, and what every panel asks."""
    for path in sorted((FOLDER / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]


def of_scalers(builds: Iterable[Build]) -> Iterator[Question]:
    """Where, and what KEDA asks before it scales."""
    for build in builds:
        for scaled in build.of("ScaledObject"):
            for trigger in scaled["spec"]["triggers"]:
                if trigger["type"] == "prometheus":
                    yield f"ScaledObject {scaled['metadata']['name']}", trigger["metadata"]["query"]


def _as_rules(questions: Iterable[Question]) -> str:
    """A question is an alert that nobody hears."""
    rules = [{"alert": where, "expr": asked} for where, asked in sorted(questions)]
    return yaml.safe_dump({"groups": [{"name": "questions", "rules": rules}]}, allow_unicode=True)
