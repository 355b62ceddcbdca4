"""Names that lead nowhere, each kind planted once."""

from typing import Any

import pytest

from tests.k8s.references import complaints
from tests.k8s.sample import of, pod, put, sample


def test_a_build_without_fault_has_none() -> None:
    assert complaints(sample()) == []


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("serviceAccountName", "other", "ServiceAccount other"),
        ("containers.0.envFrom", [{"configMapRef": {"name": "common-http"}}], "ConfigMap common-http"),
        (
            "containers.0.env",
            [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "A"}}}],
            "ConfigMap gone",
        ),
        ("volumes.0.projected.sources.0.secret.name", "membership-password", "Secret membership-password"),
        # Its operator makes it, and is not part of this build.
        (
            "volumes.0.projected.sources.0.secret.name",
            "unionhall-cluster-ca-cert",
            "Secret unionhall-cluster-ca-cert",
        ),
    ],
)
def test_a_pod_that_could_not_start_is_noticed(path: str, value: Any, complaint: str) -> None:
    build = sample()
    put(pod(build), path, value)
    assert complaints(build) == [f"membership-http names {complaint}, which is not there"]


def test_a_service_that_leads_nowhere_is_noticed() -> None:
    build = sample()
    put(of(build, "Service"), "spec.selector", {"app.kubernetes.io/name": "welfare"})
    assert complaints(build) == ["Service membership-http leads to 0 kinds of pods"]
    build = sample()
    put(of(build, "Service"), "spec.ports.0.targetPort", "web")
    assert complaints(build) == [
        "Service membership-http leads to the port web, which membership-http does not have"
    ]


def test_a_budget_for_nothing_is_noticed() -> None:
    build = sample()
    put(of(build, "PodDisruptionBudget"), "spec.selector.matchLabels", {"app.kubernetes.io/name": "welfare"})
    assert complaints(build) == ["PodDisruptionBudget membership-http covers nothing"]


def test_scaling_against_a_fixed_number_or_nothing_is_noticed() -> None:
    def scaler(target: str) -> dict[str, Any]:
        reference = {"scaleTargetRef": {"name": target}}
        return {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "hpa"}, "spec": reference}

    assert "is scaled and says itself" in complaints(sample(scaler("membership-http")))[0]
    assert complaints(sample(scaler("gone"))) == [
        "HorizontalPodAutoscaler hpa scales gone, which is not there"
    ]


def test_a_route_to_a_port_that_nobody_has_is_noticed() -> None:
    rule = {"backendRefs": [{"name": "membership-http", "port": 80}]}
    route = {"kind": "HTTPRoute", "metadata": {"name": "way"}, "spec": {"rules": [rule]}}
    assert complaints(sample(route)) == ["HTTPRoute way leads to membership-http:80"]


def test_a_monitor_that_misses_a_service_is_noticed() -> None:
    spec = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": "membership"}},
        "podMetricsEndpoints": [{"port": "health"}],
    }
    monitor = {"kind": "PodMonitor", "metadata": {"name": "m"}, "spec": spec}
    assert complaints(sample(monitor)) == [
        "PodMonitor m finds 1 of 4 services",
        "PodMonitor m asks at a port health that not all have",
    ]


def test_a_cluster_without_its_secret_or_store_is_noticed() -> None:
    spec = {
        "bootstrap": {"initdb": {"secret": {"name": "gone"}}},
        "managed": {"roles": [{"passwordSecret": {"name": "membership-app"}}]},
        "plugins": [{"parameters": {"barmanObjectName": "store"}}],
    }
    cluster = {"kind": "Cluster", "metadata": {"name": "c"}, "spec": spec}
    backup = {"kind": "ScheduledBackup", "metadata": {"name": "b"}, "spec": {"cluster": {"name": "d"}}}
    assert complaints(sample(cluster, backup)) == [
        "Cluster c names Secret gone",
        "Cluster c has no store for its backups",
        "ScheduledBackup b is of no cluster",
    ]
