"""Where Kubernetes and compose differ, each kind planted once."""

from copy import deepcopy
from typing import Any

import pytest

from tests.k8s.agreement import complaints
from tests.k8s.manifests import Document
from tests.k8s.sample import of, pod, put, sample

COMPOSED: Document = {
    "services": {
        "postgres": {"image": "${POSTGRES_IMAGE:-postgres:18}", "command": ["postgres", "-cwork_mem=8MB"]},
        "kafka": {"image": "${KAFKA_IMAGE:-apache/kafka:4.3.1}", "environment": {"KAFKA_NODE_ID": 1}},
        "membership": {
            "mem_limit": "384m",
            "tmpfs": ["/tmp:size=64m"],  # noqa: S108 - of a container
            "stop_grace_period": "40s",
            "environment": {
                "UNIONHALL_KEYS_FILE": "/run/secrets/keys.json",
                "UNIONHALL_LOG_LEVEL": "${UNIONHALL_LOG_LEVEL:-INFO}",
                "UNIONHALL_OTLP_ENDPOINT": "${UNIONHALL_OTLP_ENDPOINT:-}",
                "UNIONHALL_OIDC_AUDIENCE": "${UNIONHALL_OIDC_AUDIENCE:-unionhall}",
                "UNIONHALL_OIDC_ISSUER": "${UNIONHALL_OIDC_ISSUER:?the issuer}",
            },
            "secrets": ["keys.json", {"source": "membership_app_url", "target": "unionhall_database_url"}],
        },
    }
}


def composed(path: str = "", value: Any = None) -> Document:
    changed = deepcopy(COMPOSED)
    if path:
        put(changed["services"]["membership"], path, value)
    return changed


def test_two_that_agree_are_without_fault() -> None:
    assert complaints(sample(), COMPOSED) == []


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("environment.UNIONHALL_LOG_LEVEL", None, "compose does not give UNIONHALL_LOG_LEVEL"),
        ("environment.UNIONHALL_BANK_URL", "", "compose gives UNIONHALL_BANK_URL too"),
        ("environment.UNIONHALL_LOG_LEVEL", "DEBUG", "UNIONHALL_LOG_LEVEL is INFO, and DEBUG in compose"),
        (
            "environment.UNIONHALL_KEYS_FILE",
            "/k",
            "UNIONHALL_KEYS_FILE is /run/secrets/keys.json, and /k in compose",
        ),
        (
            "secrets.1.target",
            "unionhall_worker_database_url",
            "compose gives UNIONHALL_WORKER_DATABASE_URL too",
        ),
        ("command", ["worker"], "runs ['app'], and ['worker'] in compose"),
        ("mem_limit", "1g", "may use 384Mi, and 1g in compose"),
        ("tmpfs.0", "/tmp:size=1g", "has 64 MiB of /tmp, and 1024 in compose"),  # noqa: S108 - of a container
        ("tmpfs.0", "/tmp", "has 64 MiB of /tmp, and 0 in compose"),  # noqa: S108 - of a container
        ("stop_grace_period", "60s", "is killed sooner than the 60 s of compose"),
        (
            "healthcheck",
            {"test": ["CMD", "ready", "9090"], "interval": "5s", "timeout": "5s", "retries": 3},
            "readiness is asked at http, and at 9090 in compose",
        ),
        (
            "healthcheck",
            {"test": ["CMD", "ready", "8080"], "interval": "9s", "timeout": "5s", "retries": 3},
            "readiness has periodSeconds 5, and interval 9s in compose",
        ),
    ],
)
def test_a_process_that_differs_is_noticed(path: str, value: Any, complaint: str) -> None:
    found = [line.removeprefix("membership-http: ") for line in complaints(sample(), composed(path, value))]
    assert complaint in found


def test_readiness_at_another_path_is_noticed() -> None:
    build = sample()
    put(pod(build), "containers.0.readinessProbe.httpGet.path", "/health/live")
    assert complaints(build, COMPOSED) == [
        "membership-http: readiness is asked for /health/live, which compose does not"
    ]


def test_an_address_of_a_neighbour_has_the_name_that_it_has_there() -> None:
    build, changed = sample(), composed("environment.UNIONHALL_WELFARE_URL", "http://welfare:8080")
    put(of(build, "ConfigMap"), "data.UNIONHALL_WELFARE_URL", "http://welfare-http:8080")
    assert complaints(build, changed) == []
    put(of(build, "ConfigMap"), "data.UNIONHALL_WELFARE_URL", "http://welfare:8080")
    assert len(complaints(build, changed)) == 1


def test_servers_set_up_otherwise_are_noticed() -> None:
    def server(name: str, container: Document) -> Document:
        spec = {"template": {"metadata": {}, "spec": {"containers": [container]}}}
        return {"kind": "StatefulSet", "metadata": {"name": name}, "spec": spec}

    postgres = server("postgres", {"image": "postgres:17", "args": ["postgres", "-cwork_mem=4MB"]})
    kafka = server("kafka", {"image": "apache/kafka:4.3.1", "env": [{"name": "KAFKA_NODE_ID", "value": "2"}]})
    spec = {"postgresql": {"parameters": {"work_mem": "8MB", "max_connections": "9"}}}
    cluster = {"kind": "Cluster", "metadata": {"name": "c"}, "spec": spec}
    assert complaints(sample(postgres, kafka, cluster), COMPOSED) == [
        "postgres: work_mem is 4MB, and 8MB in compose",
        "c: max_connections is 9, and None in compose",
        "kafka: KAFKA_NODE_ID is 2, and 1 in compose",
        "postgres runs postgres:17, and ${POSTGRES_IMAGE:-postgres:18} in compose",
    ]
