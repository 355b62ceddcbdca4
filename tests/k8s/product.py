"""What the manifests say of the product is so: settings, programs, ports, paths, metrics, topics and rights to them."""

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg.connect_utils
import yaml

from gateway_service import app as gateway
from shared.contracts.envelope import Topic
from shared.messaging import broker, topics
from shared.messaging.worker import Health
from shared.observability.metrics import REGISTRY
from shared.settings import (
    HTTP_NEEDS,
    MIGRATION_NEEDS,
    SECRETS,
    TOPICS_NEEDS,
    WORKER_NEEDS,
    ServiceSettings,
    TopicsSettings,
)
from shared.web.health import health_router
from tests.k8s import given
from tests.k8s.manifests import ROOT, Build, Workload
from tools.k8s_files import ALERTS, consumers, kafka_topics
from tools.settings_page import OTHERS, settings

#: What each kind of process cannot do without, besides what its service asks for.
NEEDS = {
    "http": {f"UNIONHALL_{name.upper()}" for name in HTTP_NEEDS},
    "worker": {f"UNIONHALL_{name.upper()}" for name in WORKER_NEEDS},
    "migrate": {f"UNIONHALL_{name.upper()}" for name in MIGRATION_NEEDS},
    "topics": {f"UNIONHALL_{name.upper()}" for name in TOPICS_NEEDS},
}
#: Overlays name these; the base alone has none.
OF_OVERLAYS = {"UNIONHALL_OIDC_ISSUER", "UNIONHALL_OIDC_JWKS_URL", "UNIONHALL_IDENTITY_URL"}
PORTS = {
    "http": ServiceSettings.model_fields["http_port"].default,
    "health": ServiceSettings.model_fields["worker_port"].default,
}
#: Never for the world.
INTERNAL = ("/health", "/metrics", "/internal")
_METRIC = re.compile(r"\bunionhall_[a-z_]+\b")


@dataclass(frozen=True)
class Right:
    """What a KafkaUser may do with every topic or group whose name begins so."""

    kind: str
    prefix: str
    operations: frozenset[str]


def complaints(build: Build) -> list[str]:
    """What a build says that the code does not."""
    found = [
        f"{workload.name}: {what}"
        for workload in build.workloads
        if workload.is_ours
        for what in _process(build, workload)
    ]
    return [*found, *_metrics(build), *_routes(build), *_kafka(build)]


def _process(build: Build, workload: Workload) -> Iterator[str]:
    labels = workload.labels
    service, component = labels["app.kubernetes.io/name"], labels["app.kubernetes.io/component"]
    has = given.given(build, workload)
    for name in sorted(has.keys() - _known(service) - OTHERS.keys()):
        # The driver of PostgreSQL has variables of its own.
        if f"'{name}'" not in inspect.getsource(asyncpg.connect_utils):
            yield f"{name} is read by nobody"
    needed = (
        NEEDS[component]
        if build.parts & {"local", "staging", "production"}
        else NEEDS[component] - OF_OVERLAYS
    )
    for name in sorted(needed - has.keys()):
        yield f"{name} is not given"
    if given.files(workload) and Path(given.SECRETS) != SECRETS:
        yield f"secrets are read from {SECRETS}"
    if (certificate := given.files(workload, str(broker.CERTIFICATE))) and set(certificate) != {
        "ca.crt",
        "user.crt",
        "user.key",
    }:
        yield f"{sorted(certificate)} is no certificate for Kafka"
    yield from _program(workload, service)
    yield from _ports(workload)


@cache
def _known(service: str) -> frozenset[str]:
    if service == "topics":
        return frozenset(f"UNIONHALL_{name.upper()}" for name in TopicsSettings.model_fields)
    return frozenset(setting.variable for setting in settings() if setting.service == service)


def _program(workload: Workload, service: str) -> Iterator[str]:
    program, *rest = workload.container.get("args", ["app"])
    package = ROOT / f"services/{service}/src/{service}_service"
    if program == "python":
        if rest != ["-m", topics.__name__]:
            yield f"runs {' '.join(rest)}"
    elif not (package / f"{program}.py").is_file():
        yield f"{service} has no program {program}"
    image = workload.container["image"].rpartition("/")[2]
    if program != "python" and not re.match(rf"{service}[:@]", image):
        yield f"runs the image {image}"


def _ports(workload: Workload) -> Iterator[str]:
    container = workload.container
    for port in container.get("ports", ()):
        if PORTS.get(port["name"]) != port["containerPort"]:
            yield f"port {port['name']} is not {port['containerPort']}"
    names = {port["name"] for port in container.get("ports", ())}
    for probe, path in (
        ("startup", "/health/live"),
        ("liveness", "/health/live"),
        ("readiness", "/health/ready"),
    ):
        asked = container.get(f"{probe}Probe", {}).get("httpGet")
        if asked is None:
            continue
        if asked["path"] != path or path not in paths_of_processes():
            yield f"{probe} asks for {asked['path']}"
        if asked["port"] not in names:
            yield f"{probe} asks at {asked['port']}"


@cache
def paths_of_processes() -> frozenset[str]:
    """Paths that the HTTP process and the worker both answer."""
    of_http = {getattr(route, "path", "") for route in health_router([], lambda: False).routes}
    serving: Any = Health("127.0.0.1", 0, [], None)._server.config.app  # type: ignore[arg-type]
    return frozenset(of_http & {route.path for route in serving.routes})


def _metrics(build: Build) -> Iterator[str]:
    known = REGISTRY._names_to_collectors
    for document in build.of("PrometheusRule", "ScaledObject"):
        for name in sorted(set(_METRIC.findall(yaml.safe_dump(document["spec"]))) - known.keys()):
            yield f"{document['kind']} {document['metadata']['name']}: {name} is measured by nobody"
    for monitor in build.of("ServiceMonitor", "PodMonitor"):
        for endpoint in monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]:
            if endpoint["path"] not in paths_of_processes():
                yield f"{monitor['kind']} {monitor['metadata']['name']} asks for {endpoint['path']}"
    for rule in build.of("PrometheusRule"):
        if rule["spec"]["groups"] != yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]:
            yield "the alerts are not those of deploy/observability: python -m tools.k8s_files"


def _routes(build: Build) -> Iterator[str]:
    served = {getattr(route, "path", "") for router in gateway.ROUTERS for route in router.routes} | {
        "/openapi.json"
    }
    for route in build.of("HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for match in rule.get("matches", ()):
                yield from _path(match["path"]["type"], match["path"]["value"], served)


def _path(kind: str, path: str, served: Iterable[str]) -> Iterator[str]:
    plain = [route.partition("{")[0].rstrip("/") or "/" for route in served]
    if kind == "Exact" and path not in plain:
        yield f"the gateway has no {path}"
    if kind == "PathPrefix":
        if not any(
            route == path or route.startswith(f"{path}/") or path.startswith(f"{route}/")
            for route in plain
            if route != "/"
        ):
            yield f"the gateway has nothing below {path}"
        if any(f"{inside}/".startswith(f"{path.rstrip('/')}/") for inside in INTERNAL):
            yield f"{path} shows the world what is internal"


def _kafka(build: Build) -> Iterator[str]:
    if "strimzi" not in build.parts:
        return
    declared = {topic["metadata"]["name"]: topic["spec"] for topic in kafka_topics()}
    if {topic["metadata"]["name"]: topic["spec"] for topic in build.of("KafkaTopic")} != declared:
        yield "the topics are not those of the contracts: python -m tools.k8s_files"
    rights = {user["metadata"]["name"]: list(_rights(user)) for user in build.of("KafkaUser")}
    for service, kind, name, operation in needed_rights():
        if not _may(rights.get(service, []), kind, name, operation):
            yield f"KafkaUser {service} may not {operation} {kind} {name}"
    for service, held in rights.items():
        for right in held:
            used = [
                one
                for one in needed_rights()
                if one[0] == service and one[1] == right.kind and one[2].startswith(right.prefix)
            ]
            if spare := right.operations - {operation for *_, operation in used} - {"Describe"}:
                yield f"KafkaUser {service} may {', '.join(sorted(spare))} {right.prefix}*, and need not"


def _rights(user: dict[str, Any]) -> Iterator[Right]:
    for rule in user["spec"]["authorization"]["acls"]:
        resource = rule["resource"]
        yield Right(resource["type"], resource["name"], frozenset(rule["operations"]))


def _may(rights: Iterable[Right], kind: str, name: str, operation: str) -> bool:
    return any(
        right.kind == kind and name.startswith(right.prefix) and operation in right.operations
        for right in rights
    )


@cache
def needed_rights() -> tuple[tuple[str, str, str, str], ...]:
    """Service, "topic" or "group", name, operation: what relays, consumers and those who follow progress do."""
    return tuple(sorted(set(_writing()) | set(_reading())))


def _writing() -> Iterator[tuple[str, str, str, str]]:
    for topic in topics.declared_topics():
        yield _service(topic), "topic", topic.name, "Write"
    for name in consumers():
        yield name.partition(".")[0], "topic", topics.dead_letter_topic(name).name, "Write"


def _reading() -> Iterator[tuple[str, str, str, str]]:
    for name, read in consumers().items():
        service = name.partition(".")[0]
        yield service, "group", f"unionhall.{name}", "Read"
        for topic in read:
            yield service, "topic", topic.name, "Read"
            yield service, "topic", topics.progress_topic(_service(topic)).name, "Read"


def _service(topic: Topic) -> str:
    return topic.name.split(".")[1]
