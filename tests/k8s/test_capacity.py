"""What does not fit is noticed, each kind planted once."""

from copy import deepcopy

import pytest

from local_stack.plan import SERVICES
from tests.k8s.agreement import composed
from tests.k8s.capacity import complaints, largest_body, most_connections, of_compose
from tests.k8s.manifests import Build, Document
from tests.k8s.sample import of, pod, put, sample

LARGEST = 256 * 2**20


def cluster(most: int) -> Document:
    """A server of membership's alone."""
    spec = {
        "inheritedMetadata": {"labels": {"serves-membership": "true"}},
        "postgresql": {"parameters": {"max_connections": str(most)}},
    }
    return {"kind": "Cluster", "metadata": {"name": "membership-postgres"}, "spec": spec}


def fitting(*more: Document) -> Build:
    """Two processes, or three while they are updated, each of them with two pools of eight."""
    build = sample(*more)
    put(of(build, "ConfigMap"), "data.UNIONHALL_DATABASE_POOL", "8")
    put(pod(build), "volumes.1.emptyDir.sizeLimit", "320Mi")
    put(pod(build), "containers.0.resources.limits.memory", "768Mi")
    return build


def test_what_fits_is_without_fault() -> None:
    assert complaints(fitting(cluster(3 * 17 + 20))) == []


def test_one_connection_too_few_is_noticed() -> None:
    assert complaints(fitting(cluster(3 * 17 + 20 - 1))) == [
        "membership-postgres allows 70 connections: all processes may open 51, and 20 are for others"
    ]


@pytest.mark.parametrize(
    ("kind", "most"), [("HorizontalPodAutoscaler", "maxReplicas"), ("ScaledObject", "maxReplicaCount")]
)
def test_as_many_pods_count_as_scaling_may_bring(kind: str, most: str) -> None:
    spec = {"scaleTargetRef": {"name": "membership-http"}, most: 9}
    build = fitting(cluster(189), {"kind": kind, "metadata": {"name": "membership-http"}, "spec": spec})
    assert complaints(build) == [
        "membership-postgres allows 189 connections: all processes may open 170, and 20 are for others"
    ]


def test_without_the_setting_its_default_counts() -> None:
    build = fitting(cluster(3 * 33 + 19))
    put(of(build, "ConfigMap"), "data.UNIONHALL_DATABASE_POOL", None)
    assert len(complaints(build)) == 1
    assert most_connections({}) == 33


def test_one_server_for_several_services_is_counted_whole() -> None:
    template = {
        "metadata": {"labels": {"serves-membership": "true", "serves-welfare": "true"}},
        "spec": {"containers": [{"args": ["postgres", "-cmax_connections=121"]}]},
    }
    server = {"kind": "StatefulSet", "metadata": {"name": "postgres"}, "spec": {"template": template}}
    build = fitting(server)
    assert complaints(build) == []
    other = deepcopy(of(build, "Deployment"))
    put(other, "metadata.name", "welfare-http")
    other["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = "welfare"
    both = Build("both", build.parts, [*build.documents, other])
    assert complaints(both) == [
        "postgres allows 121 connections: all processes may open 102, and 20 are for others"
    ]


def test_a_server_for_nobody_is_noticed() -> None:
    nobody = cluster(300)
    put(nobody, "spec.inheritedMetadata.labels", {})
    assert complaints(fitting(nobody)) == ["membership-postgres serves nobody"]


def test_the_connections_of_compose_fit_and_a_larger_pool_is_noticed() -> None:
    compose = composed()
    assert of_compose(compose) == []
    for service in compose["services"].values():
        if "UNIONHALL_DATABASE_POOL" in service.get("environment", {}):
            service["environment"]["UNIONHALL_DATABASE_POOL"] = "${UNIONHALL_DATABASE_POOL:-16}"
    assert of_compose(compose) == [
        "postgres allows 300 connections: all processes may open 284, and 20 are for others"
    ]


def test_an_upload_that_tmp_cannot_hold_is_noticed() -> None:
    assert [service for service in SERVICES if largest_body(service) > LARGEST] == ["membership"]
    build = fitting()
    put(pod(build), "volumes.1.emptyDir.sizeLimit", "256Mi")
    assert complaints(build) == ["membership-http: has 256 MiB of /tmp, and an upload may have 256.1"]


def test_a_tmp_that_takes_the_memory_of_its_process_is_noticed() -> None:
    build = fitting()
    put(pod(build), "containers.0.resources.limits.memory", "384Mi")
    assert complaints(build) == [
        "membership-http: a full /tmp leaves 64 MiB of memory, and it asks for 192Mi"
    ]
