"""What manifests say of the code, each untruth planted once."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_stack.plan import SERVICES
from shared.contracts.envelope import Topic
from shared.security.keys import new_ring_json
from tests.k8s import product
from tests.k8s.manifests import Build
from tests.k8s.sample import of, pod, put, sample
from tools.k8s_files import ALERTS, alerts, consumers, kafka_topics

#: Written in pieces, so that the rule about variables does not take it for one.
MISSPELT = "UNIONHALL" + "_LOG_LEVLE"


def test_a_build_without_fault_has_none() -> None:
    assert product.complaints(sample()) == []


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("containers.0.env", [{"name": MISSPELT, "value": "INFO"}], f"{MISSPELT} is read by nobody"),
        ("containers.0.env", [{"name": "UNIONHALL_WELFARE_URL", "value": "x"}], "UNIONHALL_WELFARE_URL is read by nobody"),
        ("containers.0.env", [{"name": "PGSSLMOD", "value": "require"}], "PGSSLMOD is read by nobody"),
        ("volumes.0.projected.sources.0.secret.items.0.path", "database_url", "UNIONHALL_DATABASE_URL is not given"),
        ("containers.0.args", ["serve"], "membership has no program serve"),
        ("containers.0.args", ["python", "-m", "shared.messaging.topic"], "runs -m shared.messaging.topic"),
        ("containers.0.image", "unionhall/welfare:0.1.0", "runs the image welfare:0.1.0"),
        ("containers.0.ports.0.containerPort", 8000, "port http is not 8000"),
        ("containers.0.livenessProbe.httpGet.path", "/health/ready", "liveness asks for /health/ready"),
        ("containers.0.readinessProbe.httpGet.path", "/ready", "readiness asks for /ready"),
        ("containers.0.startupProbe.httpGet.port", "web", "startup asks at web"),
    ],
)  # fmt: skip
def test_an_untruth_about_a_process_is_noticed(path: str, value: Any, complaint: str) -> None:
    build = sample()
    put(pod(build), path, value)
    assert complaint in [found.removeprefix("membership-http: ") for found in product.complaints(build)]


def test_the_variable_of_the_driver_is_one() -> None:
    build = sample()
    put(pod(build), "containers.0.env", [{"name": "PGSSLMODE", "value": "require"}])
    assert product.complaints(build) == []


def test_an_overlay_that_names_no_issuer_is_noticed() -> None:
    build = sample()
    assert product.complaints(Build("local", frozenset({"base", "local"}), build.documents)) == [
        "membership-http: UNIONHALL_OIDC_ISSUER is not given",
        "membership-http: UNIONHALL_OIDC_JWKS_URL is not given",
    ]


def test_half_a_certificate_is_noticed() -> None:
    build = sample()
    pod(build)["containers"][0]["volumeMounts"].append({"name": "kafka", "mountPath": "/run/kafka"})
    source = {"secret": {"name": "membership", "items": [{"key": "user.crt", "path": "user.crt"}]}}
    pod(build)["volumes"].append({"name": "kafka", "projected": {"sources": [source]}})
    assert product.complaints(build) == ["membership-http: ['user.crt'] is no certificate for Kafka"]


def test_the_paths_of_both_processes_are_known() -> None:
    assert product.paths_of_processes() == {"/health/live", "/health/ready", "/metrics"}


def test_a_metric_that_nobody_measures_is_noticed() -> None:
    trigger = {"metadata": {"query": 'max(unionhall_consumer_lag{service="welfare"})'}}
    scaled = {"kind": "ScaledObject", "metadata": {"name": "s"}, "spec": {"triggers": [trigger]}}
    assert product.complaints(sample(scaled)) == [
        "ScaledObject s: unionhall_consumer_lag is measured by nobody"
    ]


def test_alerts_of_its_own_are_noticed() -> None:
    assert product.complaints(sample(alerts())) == []
    rule = alerts()
    rule["spec"]["groups"][0]["rules"].pop()
    assert product.complaints(sample(rule)) == [
        "the alerts are not those of deploy/observability: python -m tools.k8s_files"
    ]
    assert yaml.safe_load(ALERTS.read_text("utf-8")) == alerts()["spec"]


def test_a_monitor_at_a_path_that_nobody_answers_is_noticed() -> None:
    spec = {"podMetricsEndpoints": [{"port": "health", "path": "/metric"}]}
    found = product.complaints(sample({"kind": "PodMonitor", "metadata": {"name": "m"}, "spec": spec}))
    assert found == ["PodMonitor m asks for /metric"]


@pytest.mark.parametrize(
    ("kind", "value", "complaint"),
    [
        ("PathPrefix", "/api/v1", None),
        ("PathPrefix", "/identity/realms", None),
        ("PathPrefix", "/assets", None),
        ("Exact", "/", None),
        ("PathPrefix", "/", "/ shows the world what is internal"),
        ("PathPrefix", "/portal", "the gateway has nothing below /portal"),
        ("PathPrefix", "/ap", "the gateway has nothing below /ap"),
        ("Exact", "/favicon.png", "the gateway has no /favicon.png"),
        ("PathPrefix", "/internal", "/internal shows the world what is internal"),
    ],
)
def test_the_world_is_shown_what_exists_and_is_not_internal(
    kind: str, value: str, complaint: str | None
) -> None:
    match = {"path": {"type": kind, "value": value}}
    route = {"kind": "HTTPRoute", "metadata": {"name": "r"}, "spec": {"rules": [{"matches": [match]}]}}
    assert (
        (complaint in product.complaints(sample(route)))
        if complaint
        else product.complaints(sample(route)) == []
    )


def strimzi(*users: dict[str, Any], drop_topic: bool = False) -> list[str]:
    topics = list(kafka_topics())[1 if drop_topic else 0 :]
    return product.complaints(
        Build("s", frozenset({"base", "strimzi"}), [*sample(*topics, *users).documents])
    )


def user(name: str, *rules: tuple[str, str, list[str]]) -> dict[str, Any]:
    acls = [{"resource": {"type": kind, "name": prefix, "patternType": "prefix"}, "operations": operations}
            for kind, prefix, operations in rules]  # fmt: skip
    return {"kind": "KafkaUser", "metadata": {"name": name}, "spec": {"authorization": {"acls": acls}}}


MEMBERSHIP = ("topic", "unionhall.membership.", ["Describe", "Write"])


def test_rights_that_are_needed_and_no_others() -> None:
    def of_membership(*rules: tuple[str, str, list[str]]) -> list[str]:
        return [found for found in strimzi(user("membership", *rules)) if "KafkaUser membership" in found]

    assert of_membership(MEMBERSHIP) == []
    missing = of_membership(("topic", "unionhall.membership.members.", ["Write"]))
    assert "KafkaUser membership may not Write topic unionhall.membership.posts.v1" in missing
    spare = of_membership(MEMBERSHIP, ("topic", "unionhall.welfare.", ["Read"]))
    assert spare == ["KafkaUser membership may Read unionhall.welfare.*, and need not"]
    # Nobody has what is nobody's.
    assert any("KafkaUser gateway may not Read group unionhall.gateway.views" in found for found in strimzi())


def test_a_topic_of_the_contracts_that_is_not_declared_is_noticed() -> None:
    message = "the topics are not those of the contracts: python -m tools.k8s_files"
    assert message not in strimzi()
    assert message in strimzi(drop_topic=True)


def test_the_consumers_are_those_of_the_workers(tmp_path: Path) -> None:
    ring = tmp_path / "keys.json"
    ring.write_bytes(new_ring_json())
    ring.chmod(0o600)
    found: dict[str, set[Topic]] = {}
    for service in SERVICES:
        settings = importlib.import_module(f"{service}_service.settings").Settings(
            worker_database_url="postgresql://nobody:x@127.0.0.1:1/none",
            kafka_bootstrap="127.0.0.1:1",
            keys_file=ring,
        )
        setup = importlib.import_module(f"{service}_service.worker").build(settings)
        found |= {consumer.name: set(consumer._topics) for consumer in setup.consumers}
    assert found == {name: set(topics) for name, topics in consumers().items()}


def test_the_written_files_are_up_to_date() -> None:
    folder = ALERTS.parents[1] / "k8s/components"
    assert list(yaml.safe_load_all((folder / "strimzi/topics.yaml").read_text("utf-8"))) == list(
        kafka_topics()
    )
    assert yaml.safe_load((folder / "monitoring/alerts.yaml").read_text("utf-8")) == alerts()


def test_the_variable_that_was_removed_from_the_sample_is_missed() -> None:
    build = sample()
    put(of(build, "ConfigMap"), "data.UNIONHALL_KEYS_FILE", None)
    assert product.complaints(build) == ["membership-http: UNIONHALL_KEYS_FILE is not given"]
