"""Whether there is room: connections for as many processes as there may be, /tmp for the largest upload, memory besides /tmp."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from fastapi.routing import APIRoute

from shared.settings import ServiceSettings
from shared.web.body import max_body_of
from tests.k8s.agreement import constant, mebibytes, server_setting, temporary
from tests.k8s.given import given
from tests.k8s.manifests import Build, Document, Workload

POOL: Final = "UNIONHALL_DATABASE_POOL"
#: Connections for others than processes: superusers, an operator, jobs, commands, what a killed process left.
RESERVE: Final = 20
_DEFAULT: Final = ServiceSettings.model_fields["database_pool"].default
_NAME: Final = "app.kubernetes.io/name"


def complaints(build: Build) -> list[str]:
    """What would not fit."""
    of_processes = [
        f"{workload.name}: {what}"
        for workload in build.workloads
        if workload.is_ours
        for what in _room(workload)
    ]
    return [*_connections(build), *of_processes]


def of_compose(compose: Document) -> list[str]:
    """The same of the connections of docker-compose.yml, where Keycloak shares the server."""
    services = compose["services"]
    server = dict(filter(None, map(server_setting, services["postgres"]["command"])))
    wanted = int(services["keycloak"]["environment"]["KC_DB_POOL_MAX_SIZE"]) + sum(
        most_connections({name: constant(str(value)) or "" for name, value in service["environment"].items()})
        for service in services.values()
        if "keys.json" in service.get("secrets", ())
    )
    return list(_fits("postgres", wanted, int(server["max_connections"])))


def most_connections(settings: Mapping[str, str]) -> int:
    """What one process opens at most: two pools, and the one with which the relay leads or the gateway listens."""
    return 2 * int(settings.get(POOL, _DEFAULT)) + 1


@cache
def largest_body(service: str) -> int:
    """Bytes of the largest body that a service takes."""
    routers = import_module(f"{service}_service.app").ROUTERS
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    return max(max_body_of(route.endpoint) for route in routes)


def _connections(build: Build) -> Iterator[str]:
    for name, allowed, labels in _servers(build):
        wanted = sum(
            _most(build, workload) * most_connections(given(build, workload))
            for workload in build.workloads
            if workload.kind == "Deployment" and f"serves-{workload.labels.get(_NAME)}" in labels
        )
        if wanted:
            yield from _fits(name, wanted, allowed)
        else:
            yield f"{name} serves nobody"


def _fits(name: str, wanted: int, allowed: int) -> Iterator[str]:
    if wanted + RESERVE > allowed:
        yield f"{name} allows {allowed} connections: all processes may open {wanted}, and {RESERVE} are for others"


def _servers(build: Build) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """Name, max_connections, and the labels that say whom it serves."""
    for cluster in build.of("Cluster"):
        spec = cluster["spec"]
        allowed = spec["postgresql"]["parameters"]["max_connections"]
        yield cluster["metadata"]["name"], int(allowed), spec["inheritedMetadata"]["labels"]
    if found := build.named("StatefulSet", "postgres"):
        workload = Workload(found)
        settings = dict(filter(None, map(server_setting, workload.container["args"])))
        yield workload.name, int(settings["max_connections"]), workload.labels


def _most(build: Build, workload: Workload) -> int:
    """Pods of a Deployment: as many as whoever scales it may ask for, and those that an update brings before others go."""
    spec = workload.document["spec"]
    scaled = [
        scaler["spec"].get("maxReplicas") or scaler["spec"]["maxReplicaCount"]
        for scaler in build.of("HorizontalPodAutoscaler", "ScaledObject")
        if scaler["spec"]["scaleTargetRef"]["name"] == workload.name
    ]
    return int(max(scaled, default=spec.get("replicas", 1))) + int(
        spec["strategy"]["rollingUpdate"]["maxSurge"]
    )


def _room(workload: Workload) -> Iterator[str]:
    resources, held = workload.container["resources"], temporary(workload)
    left = mebibytes(resources["limits"]["memory"]) - held
    if left < mebibytes(resources["requests"]["memory"]):
        yield f"a full /tmp leaves {left} MiB of memory, and it asks for {resources['requests']['memory']}"
    if workload.labels.get("app.kubernetes.io/component") == "http":
        largest = largest_body(workload.labels[_NAME])
        if largest > held * 2**20:
            yield f"has {held} MiB of /tmp, and an upload may have {largest / 2**20:.1f}"
