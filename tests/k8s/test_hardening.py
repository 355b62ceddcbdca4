"""Each rule for pods, seen failing on a planted breach."""

from typing import Any

import pytest

from tests.k8s.hardening import complaints
from tests.k8s.manifests import Build
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


@pytest.mark.parametrize("overlay", ["staging", "production"])
@pytest.mark.parametrize(
    ("image", "database", "complaint"),
    [
        ("r.example/membership@sha256:" + "0" * 64, "postgresql:18@sha256:" + "0" * 64, None),
        ("r.example/membership:0.1.0", "postgresql:18@sha256:" + "0" * 64, "membership-http: r.example/membership:0.1.0"),
        ("r.example/membership@sha256:0", "postgresql:18@sha256:" + "0" * 64, "membership-http: r.example/membership@sha256:0"),
        ("r.example/membership@sha256:" + "0" * 64, "postgresql:18", "c: postgresql:18"),
    ],
)  # fmt: skip
def test_an_image_that_is_not_by_digest_is_noticed(
    overlay: str, image: str, database: str, complaint: str | None
) -> None:
    cluster = {
        "kind": "Cluster",
        "metadata": {"name": "c", "namespace": "unionhall"},
        "spec": {"imageName": database},
    }
    build = sample(cluster)
    put(pod(build), "containers.0.image", image)
    found = complaints(Build(overlay, frozenset({"base", overlay}), build.documents))
    assert found == ([f"{complaint} is not by digest"] if complaint else [])
    # Elsewhere a version will do.
    assert complaints(build) == []


@pytest.mark.parametrize("name", ["common-http", "common-http-1", "common-http-settings99"])
def test_settings_that_would_change_under_a_pod_are_noticed(name: str) -> None:
    build = sample()
    put(pod(build), "containers.0.envFrom.0.configMapRef.name", name)
    # Its drain is read from there.
    put(of(build, "ConfigMap"), "metadata.name", name)
    assert complaints(build) == [
        f"membership-http: goes on with what {name} said before: it is not named after its content"
    ]


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
