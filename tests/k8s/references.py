"""What is named exists: maps, accounts, services, pods behind selectors, and secrets that somebody is said to make."""

from collections.abc import Iterator

from local_stack.plan import SERVICES
from tests.k8s.manifests import Build, Document, Workload

ROLES = ("owner", "app", "worker")
#: What deploy/k8s/make-secrets prints; elsewhere a store of secrets fills the same names.
MADE = {"keys", "postgres", *(f"{service}-{role}" for service in SERVICES for role in ROLES)}
#: What an operator makes, or an administrator before the part is installed.
BY_PART = {
    "strimzi": {"unionhall-cluster-ca-cert", *SERVICES},
    "cloudnative-pg": {"backup-store"},
    "gateway-api": {"certificate"},
}


def complaints(build: Build) -> list[str]:
    """Names that lead nowhere."""
    secrets = MADE.union(*(BY_PART.get(part, set()) for part in build.parts))
    found = [
        f"{workload.name} names {kind} {name}, which is not there"
        for workload in build.workloads
        for kind, name in named(workload)
        if not (name in secrets if kind == "Secret" else build.named(kind, name))
    ]
    return [*found, *_of_others(build, secrets), *_selectors(build)]


def named(workload: Workload) -> Iterator[tuple[str, str]]:
    """Kind and name of all that a pod needs to start."""
    pod = workload.pod
    if account := pod.get("serviceAccountName"):
        yield "ServiceAccount", account
    for source in workload.container.get("envFrom", ()):
        yield "ConfigMap", source["configMapRef"]["name"]
    for variable in workload.container.get("env", ()):
        if key := variable.get("valueFrom", {}).get("configMapKeyRef"):
            yield "ConfigMap", key["name"]
    for volume in pod.get("volumes", ()):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        for source in volume.get("projected", {}).get("sources", ()):
            yield "Secret", source["secret"]["name"]


def _of_others(build: Build, secrets: set[str]) -> Iterator[str]:
    """References of all but pods."""
    yield from _scaling(build)
    for route in build.of("HTTPRoute"):
        for backend in (one for rule in route["spec"]["rules"] for one in rule.get("backendRefs", ())):
            if not _has_port(build.named("Service", backend["name"]), backend["port"]):
                yield f"HTTPRoute {route['metadata']['name']} leads to {backend['name']}:{backend['port']}"
    for cluster in build.of("Cluster"):
        yield from (
            f"Cluster {cluster['metadata']['name']} {what}"
            for what in _cluster(build, cluster["spec"], secrets)
        )
    for backup in build.of("ScheduledBackup"):
        if not build.named("Cluster", backup["spec"]["cluster"]["name"]):
            yield f"ScheduledBackup {backup['metadata']['name']} is of no cluster"


def _scaling(build: Build) -> Iterator[str]:
    for document in build.of("HorizontalPodAutoscaler", "ScaledObject"):
        target = document["spec"]["scaleTargetRef"]["name"]
        scaled = build.named("Deployment", target)
        if scaled is None:
            yield f"{document['kind']} {document['metadata']['name']} scales {target}, which is not there"
        elif "replicas" in scaled["spec"]:
            yield f"{target} is scaled and says itself how many it is: every `apply` would undo the scaling"


def _cluster(build: Build, spec: Document, secrets: set[str]) -> Iterator[str]:
    names = {spec["bootstrap"]["initdb"]["secret"]["name"]}
    names |= {role["passwordSecret"]["name"] for role in spec["managed"]["roles"]}
    for name in sorted(names - secrets):
        yield f"names Secret {name}"
    for plugin in spec["plugins"]:
        if not build.named("ObjectStore", plugin["parameters"]["barmanObjectName"]):
            yield "has no store for its backups"


def _has_port(service: Document | None, port: int) -> bool:
    return service is not None and any(one["port"] == port for one in service["spec"]["ports"])


def _selectors(build: Build) -> Iterator[str]:
    for service in build.of("Service"):
        name, selector = service["metadata"]["name"], service["spec"]["selector"]
        behind = [workload for workload in build.workloads if selector.items() <= workload.labels.items()]
        if len(behind) != 1:
            yield f"Service {name} leads to {len(behind)} kinds of pods"
            continue
        offered = {port["name"] for port in behind[0].container.get("ports", ())}
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in offered:
                yield f"Service {name} leads to the port {port['targetPort']}, which {behind[0].name} does not have"
    for budget in build.of("PodDisruptionBudget"):
        selector = budget["spec"]["selector"]["matchLabels"]
        if not any(selector.items() <= workload.labels.items() for workload in build.workloads):
            yield f"PodDisruptionBudget {budget['metadata']['name']} covers nothing"
    yield from _monitors(build)


def _monitors(build: Build) -> Iterator[str]:
    for monitor in build.of("ServiceMonitor", "PodMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        place = f"{monitor['kind']} {monitor['metadata']['name']}"
        endpoints = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
        if monitor["kind"] == "ServiceMonitor":
            offered = [
                {port["name"] for port in service["spec"]["ports"]}
                for service in build.of("Service")
                if selector.items() <= service["metadata"].get("labels", {}).items()
            ]
        else:
            offered = [
                {port["name"] for port in workload.container.get("ports", ())}
                for workload in build.workloads
                if selector.items() <= workload.labels.items()
            ]
        if len(offered) != len(SERVICES):
            yield f"{place} finds {len(offered)} of {len(SERVICES)} services"
        for endpoint in endpoints:
            if not all(endpoint["port"] in names for names in offered):
                yield f"{place} asks at a port {endpoint['port']} that not all have"
