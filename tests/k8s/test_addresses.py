"""Where settings lead, and both ways in which the list may differ from it."""

from copy import deepcopy

import pytest

from tests.k8s.addresses import complaints
from tests.k8s.manifests import Build, Document
from tests.k8s.sample import of, pod, put, sample

LISTED: Document = {
    "outside": {"dns": {"namespace": "kube-system"}, "identity": {"namespace": "identity"}, "world": {}},
    "made": {
        "cloudnative-pg": {"membership-postgres": {"cnpg.io/cluster": "membership-postgres"}},
        "strimzi": {"kafka-broker": {"strimzi.io/cluster": "unionhall", "app.kubernetes.io/name": "kafka"}},
    },
    "flows": {
        "base": [
            {"from": ["*"], "to": "dns", "ports": ["53/UDP"]},
            {"from": ["*-http"], "to": "identity", "ports": ["8080/TCP"]},
            # Not ours to need.
            {"from": ["world"], "to": "membership-http", "ports": ["8080/TCP"]},
        ],
        "cloudnative-pg": [{"from": ["membership-*"], "to": "membership-postgres", "ports": ["5432/TCP"]}],
    },
}
DATABASE = {"kind": "Cluster", "metadata": {"name": "membership-postgres"}, "spec": {}}
KAFKA = {"kind": "Kafka", "metadata": {"name": "unionhall"}, "spec": {}}
TO_KAFKA = {"from": ["membership-http"], "to": "kafka-broker", "ports": ["9092/TCP"]}


def build(*more: Document, **settings: str) -> Build:
    made = sample(DATABASE, *more)
    named = {f"UNIONHALL_{name}": value for name, value in settings.items()}
    of(made, "ConfigMap")["data"] |= {
        "UNIONHALL_OIDC_ISSUER": "https://unionhall.example/identity",
        "UNIONHALL_OIDC_JWKS_URL": "http://identity.identity:8080/certs",
        **named,
    }
    return Build("staging", frozenset({"base", "staging", "cloudnative-pg", "strimzi"}), made.documents)


def listed(*flows: Document) -> Document:
    found = deepcopy(LISTED)
    found["flows"]["base"] += flows
    return found


def test_a_list_that_is_needed_is_without_fault() -> None:
    assert complaints(build(), LISTED) == []
    assert complaints(build(KAFKA, KAFKA_BOOTSTRAP="unionhall-kafka-bootstrap:9092"), listed(TO_KAFKA)) == []


@pytest.mark.parametrize(
    ("setting", "value", "end"),
    [
        ("WELFARE_URL", "http://membership-http:8080", "membership-http:8080"),
        ("WELFARE_URL", "http://welfare-http:8080", "welfare-http:8080"),
        ("BANK_URL", "https://bank.example/pay", "bank.example:443"),
        ("OTLP_ENDPOINT", "http://collector.monitoring:4318", "collector.monitoring:4318"),
        ("KAFKA_BOOTSTRAP", "unionhall-kafka-bootstrap:9092", "unionhall-kafka-bootstrap:9092"),
        ("OIDC_JWKS_URL", "http://identity.identity:9000", "identity.identity:9000"),
    ],
)
def test_a_setting_without_a_flow_is_noticed(setting: str, value: str, end: str) -> None:
    found = complaints(build(KAFKA, **{setting: value}), LISTED)
    assert f"membership-http: UNIONHALL_{setting} leads to {end}, for which flows.yaml has no flow" in found


def test_a_database_without_a_flow_is_noticed() -> None:
    without = listed()
    del without["flows"]["cloudnative-pg"]
    assert complaints(build(), without) == [
        "membership-http: UNIONHALL_DATABASE_URL leads to membership-postgres-rw:5432, for which flows.yaml has no flow"
    ]


def test_a_flow_that_no_setting_needs_is_noticed() -> None:
    assert complaints(build(KAFKA), listed(TO_KAFKA)) == [
        "no setting of membership-http leads to kafka-broker at 9092/TCP, a flow of flows.yaml"
    ]


def test_a_flow_to_a_neighbour_is_one_to_the_port_of_his_pods() -> None:
    to_itself = {"from": ["membership-http"], "to": "membership-http", "ports": ["8080/TCP"]}
    made = build(WELFARE_URL="http://membership-http:80")
    put(of(made, "Service"), "spec.ports.0.port", 80)
    assert complaints(made, listed(to_itself)) == []
    put(pod(made), "containers.0.ports.0.containerPort", 9000)
    assert len(complaints(made, listed(to_itself))) == 2


def test_the_base_names_no_issuer_and_is_not_looked_at() -> None:
    assert complaints(sample(), LISTED) == []
