"""What would not be outlived, each loss planted once."""

from typing import Any

import pytest

from tests.k8s.manifests import Build, Document
from tests.k8s.outages import ZONE, complaints
from tests.k8s.sample import of, pod, put, sample


def cluster() -> Document:
    spec = {
        "instances": 3,
        "postgresql": {"synchronous": {"method": "any", "number": 1, "dataDurability": "required"}},
        "plugins": [{"name": "archive", "isWALArchiver": True}],
        "affinity": {"topologyKey": ZONE, "podAntiAffinityType": "required"},
    }
    return {"kind": "Cluster", "metadata": {"name": "c"}, "spec": spec}


def backup() -> Document:
    spec = {"cluster": {"name": "c"}, "immediate": True}
    return {"kind": "ScheduledBackup", "metadata": {"name": "b"}, "spec": spec}


def pool() -> Document:
    spec = {"replicas": 3, "template": {"pod": {"topologySpreadConstraints": [spread()]}}}
    return {"kind": "KafkaNodePool", "metadata": {"name": "broker"}, "spec": spec}


def scaler(kind: str, **spec: Any) -> Document:
    target = {"scaleTargetRef": {"name": "membership-http"}}
    return {"kind": kind, "metadata": {"name": "s"}, "spec": {**target, **spec}}


def spread() -> Document:
    return {"topologyKey": ZONE, "maxSkew": 1, "minDomains": 3, "whenUnsatisfiable": "DoNotSchedule"}


def production(*more: Document) -> Build:
    build = sample(scaler("HorizontalPodAutoscaler", minReplicas=3), *more)
    pod(build)["topologySpreadConstraints"] = [spread()]
    return Build("production", frozenset({"base", "production"}), build.documents)


def test_a_build_without_fault_has_none() -> None:
    assert complaints(sample(cluster(), backup(), scaler("ScaledObject", minReplicaCount=1))) == []
    assert complaints(production(cluster(), backup(), pool())) == []


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("postgresql.synchronous", None, "has commits that are on one machine alone"),
        ("postgresql.synchronous.number", 0, "has commits that are on one machine alone"),
        ("instances", 2, "stops writing while one instance is away"),
        ("postgresql.synchronous.number", 2, "stops writing while one instance is away"),
        ("plugins", [], "archives nothing"),
    ],
)
def test_a_database_that_would_be_lost_or_stand_still_is_noticed(
    path: str, value: Any, complaint: str
) -> None:
    broken = cluster()
    put(broken, f"spec.{path}", value)
    assert complaints(sample(broken, backup())) == [f"Cluster c {complaint}"]


def test_two_instances_of_which_one_may_be_away_are_not_for_production() -> None:
    broken = cluster()
    put(broken, "spec.postgresql.synchronous.dataDurability", "preferred")
    assert complaints(production(broken, backup())) == [
        "Cluster c may forget a commit while an instance is away"
    ]
    put(broken, "spec.instances", 2)
    assert complaints(sample(broken, backup())) == []


def test_a_database_that_cannot_be_restored_is_noticed() -> None:
    assert complaints(sample(cluster())) == ["Cluster c has 0 scheduled backups"]
    later, other = backup(), backup()
    put(later, "spec.immediate", None)
    put(other, "spec.cluster.name", "d")
    assert complaints(sample(cluster(), later)) == [
        "Cluster c cannot be restored before its first night: there is no base backup yet"
    ]
    assert complaints(sample(cluster(), other)) == ["Cluster c has 0 scheduled backups"]


@pytest.mark.parametrize("spec", [{"minReplicaCount": 0}, {}])
def test_workers_scaled_to_nothing_are_noticed(spec: Document) -> None:
    assert complaints(sample(scaler("ScaledObject", **spec))) == [
        "ScaledObject s may take the last worker away"
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [("topologyKey", "kubernetes.io/hostname"), ("maxSkew", 2), ("minDomains", None), ("whenUnsatisfiable", "ScheduleAnyway")],
)  # fmt: skip
def test_two_in_one_zone_are_noticed(path: str, value: Any) -> None:
    build = production(pool())
    put(pod(build), f"topologySpreadConstraints.0.{path}", value)
    put(of(build, "KafkaNodePool"), f"spec.template.pod.topologySpreadConstraints.0.{path}", value)
    assert complaints(build) == [
        "membership-http may have two in one zone",
        "KafkaNodePool broker may have two in one zone",
    ]


@pytest.mark.parametrize(
    ("field", "value"), [("podAntiAffinityType", "preferred"), ("topologyKey", "kubernetes.io/hostname")]
)
def test_databases_in_one_zone_are_noticed(field: str, value: str) -> None:
    build = production(cluster(), backup())
    put(of(build, "Cluster"), f"spec.affinity.{field}", value)
    assert complaints(build) == ["Cluster c may have two in one zone"]


def test_fewer_than_zones_are_noticed() -> None:
    build = production(pool())
    put(of(build, "HorizontalPodAutoscaler"), "spec.minReplicas", 2)
    put(of(build, "KafkaNodePool"), "spec.replicas", 1)
    assert complaints(build) == [
        "membership-http has 2 for 3 zones",
        "KafkaNodePool broker has 1 for 3 zones",
    ]
    build = production()
    put(of(build, "HorizontalPodAutoscaler"), "spec.scaleTargetRef.name", "other")
    assert complaints(build) == ["membership-http has 2 for 3 zones"]
