"""Each rule for pods, seen failing on a planted breach."""

from typing import Any

import pytest

from tests.k8s.hardening import complaints
from tests.k8s.sample import of, pod, put, sample


def test_a_build_without_fault_has_none() -> None:
    assert complaints(sample()) == []


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ("hostNetwork", True, "hostNetwork is set"),
        ("securityContext.runAsNonRoot", None, "may run as root"),
        ("securityContext.runAsUser", 0, "may run as root"),
        ("securityContext.seccompProfile", {"type": "Unconfined"}, "has no seccomp profile"),
        ("containers.0.securityContext.allowPrivilegeEscalation", None, "may gain privileges"),
        ("containers.0.securityContext.privileged", True, "may gain privileges"),
        ("containers.0.securityContext.capabilities", {"drop": ["ALL"], "add": ["NET_ADMIN"]}, "keeps capabilities"),
        ("containers.0.securityContext.capabilities", {}, "keeps capabilities"),
        ("containers.0.ports.0.hostPort", 80, "takes a port of its node"),
        ("volumes.1", {"name": "tmp", "hostPath": {"path": "/etc"}}, "volume tmp is a hostPath"),
        ("volumes.1.emptyDir", {}, "could fill the disk"),
        ("automountServiceAccountToken", None, "token for the Kubernetes API"),
        ("enableServiceLinks", True, "for every Service"),
        ("containers.0.securityContext.readOnlyRootFilesystem", False, "may write to its image"),
        ("containers.0.resources.limits", {"cpu": "1"}, "no limit of memory"),
        ("containers.0.resources.requests.cpu", None, "no requests"),
        ("containers.0.image", "unionhall/membership:latest", "another one tomorrow"),
        ("containers.0.image", "unionhall/membership", "another one tomorrow"),
        ("containers.0.startupProbe", None, "has no startupProbe"),
        ("containers.0.lifecycle", None, "ends while requests still come"),
        ("terminationGracePeriodSeconds", 30, "is killed after 30 s, and may need 30"),
    ],
)  # fmt: skip
def test_a_planted_breach_in_a_pod_is_noticed(path: str, value: Any, complaint: str) -> None:
    build = sample()
    put(pod(build), path, value)
    (found,) = complaints(build)
    assert complaint in found


def test_an_init_container_is_looked_at_too() -> None:
    build = sample()
    pod(build)["initContainers"] = [{"name": "first", "image": "busybox:1"}]
    assert any("first keeps capabilities" in found for found in complaints(build))


def test_an_update_that_takes_a_pod_away_first_is_noticed() -> None:
    build = sample()
    put(of(build, "Deployment"), "spec.strategy.rollingUpdate.maxUnavailable", 1)
    assert complaints(build) == ["membership-http: an update takes a pod away before another is ready"]


def test_a_changed_drain_counts() -> None:
    build = sample()
    put(of(build, "ConfigMap"), "data.UNIONHALL_DRAIN_SECONDS", "60")
    assert complaints(build) == ["membership-http: is killed after 40 s, and may need 85"]


def test_a_namespace_that_does_not_enforce_is_noticed() -> None:
    build = sample()
    put(of(build, "Namespace"), "metadata.labels", {})
    assert complaints(build) == ["the namespace does not enforce the restricted rules"]


def test_a_document_elsewhere_is_noticed() -> None:
    build = sample()
    put(of(build, "Service"), "metadata.namespace", "default")
    assert complaints(build) == ["Service membership-http is outside the namespace"]


def test_a_process_without_a_disruption_budget_is_noticed() -> None:
    build = sample()
    put(of(build, "PodDisruptionBudget"), "spec.selector.matchLabels", {"app.kubernetes.io/name": "other"})
    assert complaints(build) == ["membership-http has 0 disruption budgets"]
