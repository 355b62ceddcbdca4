"""What an installation must outlive: the loss of a machine, of a zone, of a database. Nothing else would miss a deleted line."""

from collections.abc import Iterable, Iterator

from tests.k8s.manifests import Build, Document, Workload

ZONE = "topology.kubernetes.io/zone"
ZONES = 3


def complaints(build: Build) -> list[str]:
    """What would not be outlived."""
    found = [
        f"Cluster {cluster['metadata']['name']} {what}"
        for cluster in build.of("Cluster")
        for what in (*_commits(build, cluster["spec"]), *_backups(build, cluster))
    ]
    return [*found, *_scaled(build), *(_zones(build) if "production" in build.parts else ())]


def _commits(build: Build, spec: Document) -> Iterator[str]:
    synchronous = spec["postgresql"].get("synchronous", {})
    standbys = synchronous.get("number", 0)
    is_required = synchronous.get("dataDurability", "required") == "required"
    if not standbys:
        yield "has commits that are on one machine alone"
    elif is_required and spec["instances"] < standbys + 2:
        yield "stops writing while one instance is away"
    elif not is_required and "production" in build.parts:
        yield "may forget a commit while an instance is away"


def _backups(build: Build, cluster: Document) -> Iterator[str]:
    if not any(plugin.get("isWALArchiver") for plugin in cluster["spec"].get("plugins", ())):
        yield "archives nothing"
    backups = [
        backup["spec"]
        for backup in build.of("ScheduledBackup")
        if backup["spec"]["cluster"]["name"] == cluster["metadata"]["name"]
    ]
    if len(backups) != 1:
        yield f"has {len(backups)} scheduled backups"
    elif not backups[0].get("immediate"):
        yield "cannot be restored before its first night: there is no base backup yet"


def _scaled(build: Build) -> Iterator[str]:
    for scaled in build.of("ScaledObject"):
        # Left out it is none, and then nobody measures what waits.
        if scaled["spec"].get("minReplicaCount", 0) < 1:
            yield f"ScaledObject {scaled['metadata']['name']} may take the last worker away"


def _zones(build: Build) -> Iterator[str]:
    """One of each in every zone, and what finds no zone of its own waits rather than standing beside another."""
    for workload in build.workloads:
        if workload.labels.get("app.kubernetes.io/component") == "http":
            yield from _spread(workload.name, workload.pod, _replicas(build, workload))
    for pool in build.of("KafkaNodePool"):
        pod = pool["spec"].get("template", {}).get("pod", {})
        yield from _spread(f"KafkaNodePool {pool['metadata']['name']}", pod, pool["spec"]["replicas"])
    for cluster in build.of("Cluster"):
        affinity = cluster["spec"].get("affinity", {})
        apart = affinity.get("podAntiAffinityType") == "required" and affinity.get("topologyKey") == ZONE
        yield from _three(f"Cluster {cluster['metadata']['name']}", cluster["spec"]["instances"], apart=apart)


def _spread(name: str, pod: Document, count: int) -> Iterator[str]:
    constraints: Iterable[Document] = pod.get("topologySpreadConstraints", ())
    wanted = {"topologyKey": ZONE, "maxSkew": 1, "minDomains": ZONES, "whenUnsatisfiable": "DoNotSchedule"}
    yield from _three(name, count, apart=any(wanted.items() <= one.items() for one in constraints))


def _three(name: str, count: int, *, apart: bool) -> Iterator[str]:
    if not apart:
        yield f"{name} may have two in one zone"
    if count < ZONES:
        yield f"{name} has {count} for {ZONES} zones"


def _replicas(build: Build, workload: Workload) -> int:
    for scaler in build.of("HorizontalPodAutoscaler"):
        if scaler["spec"]["scaleTargetRef"]["name"] == workload.name:
            return int(scaler["spec"].get("minReplicas", 1))
    return int(workload.document["spec"].get("replicas", 1))
