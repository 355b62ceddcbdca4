"""What every pod must and must not: Kubernetes' own "restricted" rules, which the namespace enforces, and the house's."""

import re
from collections.abc import Iterator

from shared.messaging.worker import GRACE
from shared.web.app import GRACE_SECONDS
from tests.k8s.given import given
from tests.k8s.manifests import Build, Document, Workload
from tests.k8s.references import named

_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
_DRAIN = "UNIONHALL_DRAIN_SECONDS"
#: Overlays in which an image is what it was when it was tried.
_BY_DIGEST = {"staging", "production"}
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
#: What kustomize puts behind the name of a generated map: the sum of its content, in its own letters.
_HASHED = re.compile(r"-[2456789bcdfghkmt]{10}$")


def complaints(build: Build) -> list[str]:
    """What a build breaks."""
    found = [
        f"{workload.name}: {what}" for workload in build.workloads for what in _workload(build, workload)
    ]
    return [*found, *_digests(build), *_namespace(build), *_disruption(build)]


def _workload(build: Build, workload: Workload) -> Iterator[str]:
    yield from restricted(workload.pod)
    yield from _house(workload)
    for kind, name in named(workload):
        if kind == "ConfigMap" and not _HASHED.search(name):
            yield f"goes on with what {name} said before: it is not named after its content"
    if workload.kind == "Deployment":
        yield from _updates(build, workload)


def restricted(pod: Document) -> Iterator[str]:
    """The Pod Security Standard "restricted", as far as a pod of ours could break it."""
    for word in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(word):
            yield f"{word} is set"
    for volume in pod.get("volumes", ()):
        if kinds := volume.keys() - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is a {', '.join(sorted(kinds))}"
    of_pod = pod.get("securityContext", {})
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        context = {**of_pod, **container.get("securityContext", {})}
        yield from (f"{container['name']} {what}" for what in _container(container, context))


def _container(container: Document, context: Document) -> Iterator[str]:
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "has no seccomp profile"
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "may gain privileges"
    capabilities = context.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield "keeps capabilities"
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield "takes a port of its node"


def _house(workload: Workload) -> Iterator[str]:
    pod, container = workload.pod, workload.container
    if pod.get("automountServiceAccountToken") is not False:
        yield "gets a token for the Kubernetes API"
    if pod.get("enableServiceLinks") is not False:
        yield "gets an environment variable for every Service"
    if workload.is_ours and container["securityContext"].get("readOnlyRootFilesystem") is not True:
        yield "may write to its image"
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get(
        "limits", {}
    ):
        yield "has no requests or no limit of memory"
    image = container["image"]
    if "@sha256:" not in image and (":" not in image or image.endswith(":latest")):
        yield f"image {image} may be another one tomorrow"
    yield from _bounded(workload)


def _bounded(workload: Workload) -> Iterator[str]:
    """What it may take of its node, and whether anybody looks after it."""
    for volume in workload.pod.get("volumes", ()):
        if "emptyDir" in volume and not {"medium", "sizeLimit"} <= (volume["emptyDir"] or {}).keys():
            yield f"volume {volume['name']} could fill the disk of a node"
    if workload.kind != "Job":
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe not in workload.container:
                yield f"has no {probe}"


def _updates(build: Build, workload: Workload) -> Iterator[str]:
    """No request and no work is lost when pods are replaced."""
    rolling = workload.document["spec"].get("strategy", {}).get("rollingUpdate", {})
    if rolling.get("maxUnavailable") != 0 or not rolling.get("maxSurge"):
        yield "an update takes a pod away before another is ready"
    grace = workload.pod.get("terminationGracePeriodSeconds", 30)
    hook = workload.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = float(given(build, workload).get(_DRAIN) or 0)
    serves = workload.labels.get("app.kubernetes.io/component") == "http"
    if serves and not (hook and drain):
        yield "ends while requests still come"
    needed = hook + drain + (GRACE_SECONDS if serves else GRACE)
    if grace <= needed:
        yield f"is killed after {grace} s, and may need {needed:g}"


def _digests(build: Build) -> Iterator[str]:
    if build.parts & _BY_DIGEST:
        images = [(workload.name, workload.container["image"]) for workload in build.workloads]
        # Strimzi's operator takes Kafka's images from its own release.
        images += [(found["metadata"]["name"], found["spec"]["imageName"]) for found in build.of("Cluster")]
        yield from (
            f"{name}: {image} is not by digest" for name, image in images if not _DIGEST.search(image)
        )


def _namespace(build: Build) -> Iterator[str]:
    namespace = build.named("Namespace", "unionhall")
    labels = namespace["metadata"].get("labels", {}) if namespace else {}
    if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace does not enforce the restricted rules"
    for document in build.documents:
        # CustomResources and all else of ours live in the one namespace.
        if document["kind"] != "Namespace" and document["metadata"].get("namespace") != "unionhall":
            yield f"{document['kind']} {document['metadata']['name']} is outside the namespace"


def _disruption(build: Build) -> Iterator[str]:
    budgets = [budget["spec"]["selector"]["matchLabels"] for budget in build.of("PodDisruptionBudget")]
    for workload in build.workloads:
        covering = [labels for labels in budgets if labels.items() <= workload.labels.items()]
        if workload.kind == "Deployment" and len(covering) != 1:
            yield f"{workload.name} has {len(covering)} disruption budgets"
