"""The flows are those that the services need: where the settings of each process lead is held against deploy/k8s/flows.yaml."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.k8s import flows
from tests.k8s.given import files, given
from tests.k8s.manifests import OVERLAYS, Build, Document, Workload

#: Compared with what a token says; keys are fetched from elsewhere.
NAMES_ALONE = {"UNIONHALL_OIDC_ISSUER"}
#: Names that operators give to the Services which they make, and what they write on the pods behind.
MADE: dict[str, tuple[str, str, dict[str, str]]] = {
    "-rw": ("Cluster", "cnpg.io/cluster", {}),
    "-kafka-bootstrap": ("Kafka", "strimzi.io/cluster", {"app.kubernetes.io/name": "kafka"}),
}
_PORTS = {"http": 80, "https": 443}
Address = tuple[str, int]


def complaints(build: Build, listed: Document) -> list[str]:
    """Addresses without a flow, flows without an address. The base names none of the issuer, so overlays alone are looked at."""
    if not build.parts & set(OVERLAYS):
        return []
    ours = [workload for workload in build.workloads if workload.is_ours]
    names = {workload.name for workload in ours}
    places = list(flows.places(build, listed))
    # Every pod asks for names.
    wanted = {flow for flow in flows.wanted(build, listed, places) if flow[0] in names and flow[1] != "dns"}
    needed: set[flows.Flow] = set()
    found = []
    for workload in ours:
        for setting, (host, port) in addresses(build, workload):
            end = _end(build, listed, host, port)
            flow = (workload.name, *end) if end else None
            if flow is None or flow not in wanted:
                found.append(
                    f"{workload.name}: {setting} leads to {host}:{port}, for which flows.yaml has no flow"
                )
            else:
                needed.add(flow)
    return [
        *found,
        *(f"no setting of {a} leads to {b} at {port}, a flow of flows.yaml" for a, b, port in sorted(wanted - needed)),
    ]  # fmt: skip


def addresses(build: Build, workload: Workload) -> Iterator[tuple[str, Address]]:
    """Setting, and the host and port in it."""
    for name, value in given(build, workload).items():
        if name == "UNIONHALL_KAFKA_BOOTSTRAP":
            for server in value.split(","):
                host, _, port = server.rpartition(":")
                yield name, (host, int(port))
        elif name not in NAMES_ALONE and (url := urlsplit(value)).scheme in _PORTS:
            yield name, (url.hostname or "", url.port or _PORTS[url.scheme])
    for file, secret in files(workload).items():
        if file.endswith("database_url"):
            # As deploy/k8s/make-secrets is told to write it: the one server, or the service's own.
            own = f"{secret.rpartition('-')[0]}-postgres-rw"
            yield file.upper(), ("postgres" if build.named("Service", "postgres") else own, 5432)


def _end(build: Build, listed: Document, host: str, port: int) -> tuple[str, str] | None:
    """Who answers there, and at which port of his pod; None for nobody."""
    if service := build.named("Service", host):
        return _behind(build, service["spec"], port)
    if "." in host:
        outside = listed["outside"].items()
        inside = [name for name, place in outside if place.get("namespace") == host.split(".")[1]]
        return (inside[0] if inside else "world"), f"{port}/TCP"
    labels = _made(build, host)
    pods = {name: has for part in listed["made"].values() for name, has in part.items()}
    behind = [name for name, has in pods.items() if labels and labels.items() <= has.items()]
    return (behind[0], f"{port}/TCP") if behind else None


def _made(build: Build, host: str) -> dict[str, str] | None:
    """What an operator writes on the pods behind a Service of its own."""
    for ending, (kind, label, labels) in MADE.items():
        owner = host.removesuffix(ending)
        if owner != host and build.named(kind, owner):
            return {label: owner, **labels}
    return None


def _behind(build: Build, spec: Document, port: int) -> tuple[str, str] | None:
    targets = [one["targetPort"] for one in spec["ports"] if one["port"] == port]
    for workload in build.workloads:
        if spec["selector"].items() <= workload.labels.items():
            for one in workload.container.get("ports", ()):
                if one["name"] in targets:
                    return workload.name, f"{one['containerPort']}/TCP"
    return None
