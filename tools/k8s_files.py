"""Writes what deploy/k8s says once more and is said elsewhere: the topics of the contracts, the alerts of Prometheus.

`python -m tools.k8s_files`; `make k8s-check` says when it is due.
"""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from shared.contracts.envelope import Topic
from shared.directory import replica
from shared.messaging.topics import dead_letter_topic, declared_topics, topic_configuration

ROOT = Path(__file__).resolve().parents[1]
ALERTS = ROOT / "deploy/observability/alerts.yml"
_COMPONENTS = ROOT / "deploy/k8s/components"
_WRITTEN = "# Written by tools/k8s_files.py from {}.\n"


def consumers() -> dict[str, Sequence[Topic]]:
    """Name -> what it reads, for every consumer of every service."""
    views = importlib.import_module("gateway_service.dashboard.handlers")
    found: dict[str, Sequence[Topic]] = {"gateway.directory": replica.TOPICS, "gateway.views": views.TOPICS}
    for service in ("welfare", "events"):
        effects = importlib.import_module(f"{service}_service.effects")
        found |= {f"{service}.directory": replica.TOPICS_WITH_MEMBERS, f"{service}.effects": effects.TOPICS}
    return found


def kafka_topics() -> Iterator[dict[str, Any]]:
    """A KafkaTopic for everything that somebody publishes."""
    dead_letters = [dead_letter_topic(name) for name in sorted(consumers())]
    for topic in (*declared_topics(), *dead_letters):
        yield {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaTopic",
            "metadata": {"name": topic.name, "labels": {"strimzi.io/cluster": "unionhall"}},
            "spec": {"partitions": topic.partitions, "config": topic_configuration(topic)},
        }


def alerts() -> dict[str, Any]:
    """The PrometheusRule."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "unionhall"},
        "spec": yaml.safe_load(ALERTS.read_text("utf-8")),
    }


def main() -> None:
    """Write both."""
    written = {
        "strimzi/topics.yaml": ("the contracts", list(kafka_topics())),
        "monitoring/alerts.yaml": (ALERTS.relative_to(ROOT).as_posix(), [alerts()]),
    }
    for name, (source, documents) in written.items():
        text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=120)
        (_COMPONENTS / name).write_text(_WRITTEN.format(source) + text, "utf-8")


if __name__ == "__main__":
    main()
