"""docker-compose.yml and deploy/k8s describe one product: the same settings, probes, limits, and servers set up alike."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.k8s import given
from tests.k8s.manifests import ROOT, Build, Document, Workload

#: Given on Kubernetes alone: there pods are taken out of service while requests come, and topics are kept by several brokers.
KUBERNETES_ALONE = {"UNIONHALL_DRAIN_SECONDS", "UNIONHALL_KAFKA_REPLICATION", "PGSSLMODE"}
#: Values that an installation chooses. How many connections there may be is for `capacity` to judge.
CHOSEN = {"UNIONHALL_KAFKA_BOOTSTRAP", "UNIONHALL_DATABASE_POOL"}
#: The one address that must differ: a Service leads nowhere before its pod is ready.
KAFKA_DIFFERS = {"KAFKA_CONTROLLER_QUORUM_VOTERS"}
_HOST = re.compile(r"^http://(membership|welfare|events):")
_SETTING = re.compile(r"^-c(\w+)=(.*)$")
_TMPFS = re.compile(r"^/tmp:size=(\w+)$")
_UNITS = {"m": 1, "g": 1024, "Mi": 1, "Gi": 1024}


def composed() -> Document:
    """docker-compose.yml, its anchors and merges resolved."""
    found: Document = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    return found


def complaints(build: Build, compose: Document) -> list[str]:
    """Where the two differ."""
    found = [
        f"{workload.name}: {what}"
        for workload in build.workloads
        if workload.is_ours
        for what in _process(build, workload, compose["services"][_in_compose(workload.name)])
    ]
    return [*found, *_servers(build, compose["services"])]


def _in_compose(name: str) -> str:
    return name.removesuffix("-http")


def _process(build: Build, workload: Workload, service: Document) -> Iterator[str]:
    here, there = given.given(build, workload), _given_by_compose(service)
    names = {name for name in here if name.startswith("UNIONHALL_")} - KUBERNETES_ALONE
    # What only an overlay can know is missing from the bare base.
    if missing := {name for name in there.keys() - names if not _is_asked(there[name])}:
        yield f"compose gives {', '.join(sorted(missing))} too"
    if spare := names - there.keys():
        yield f"compose does not give {', '.join(sorted(spare))}"
    for name in sorted((names & there.keys()) - CHOSEN):
        fixed = constant(there[name])
        if fixed is not None and here[name] != _HOST.sub(r"http://\1-http:", fixed):
            yield f"{name} is {here[name]}, and {fixed} in compose"
    program, theirs = workload.container.get("args", ["app"]), service.get("command", ["app"])
    if program != theirs:
        yield f"runs {program}, and {theirs} in compose"
    if mebibytes(workload.container["resources"]["limits"]["memory"]) != mebibytes(service["mem_limit"]):
        yield f"may use {workload.container['resources']['limits']['memory']}, and {service['mem_limit']} in compose"
    if temporary(workload) != _temporary_of_compose(service):
        yield f"has {temporary(workload)} MiB of /tmp, and {_temporary_of_compose(service)} in compose"
    if workload.kind == "Deployment":
        yield from _probe(workload, service)


def _given_by_compose(service: Document) -> dict[str, str]:
    secrets = {
        secret["target"].upper(): "" for secret in service.get("secrets", ()) if isinstance(secret, dict)
    }
    return {
        **{
            name: str(value)
            for name, value in service.get("environment", {}).items()
            if name.startswith("UNIONHALL_")
        },
        **secrets,
    }


def _is_asked(value: str) -> bool:
    return ":?" in value


def constant(value: str) -> str | None:
    """The value that holds when nobody chooses another; None for one that must be chosen, and for secrets."""
    chosen = re.fullmatch(r"\$\{[A-Z_]+(:-|:\?)(.*)\}", value)
    if chosen:
        return chosen.group(2) if chosen.group(1) == ":-" else None
    return value or None


def _probe(workload: Workload, service: Document) -> Iterator[str]:
    """Compose asks by the program `ready PORT`, Kubernetes over HTTP: the same path, port and patience."""
    container, health = workload.container, service.get("healthcheck")
    # An HTTP process keeps the image's.
    port = health["test"][-1] if health else _of_image()
    ready = container["readinessProbe"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    if str(ports[ready["httpGet"]["port"]]) != port:
        yield f"readiness is asked at {ready['httpGet']['port']}, and at {port} in compose"
    if f"GET {ready['httpGet']['path']} " not in (ROOT / "deploy/image/ready").read_text("utf-8"):
        yield f"readiness is asked for {ready['httpGet']['path']}, which compose does not"
    patience = {"interval": "periodSeconds", "timeout": "timeoutSeconds", "retries": "failureThreshold"}
    for theirs, ours in patience.items():
        if health and str(health[theirs]).rstrip("s") != str(ready[ours]):
            yield f"readiness has {ours} {ready[ours]}, and {theirs} {health[theirs]} in compose"
    grace = int(service["stop_grace_period"].rstrip("s"))
    if workload.pod["terminationGracePeriodSeconds"] < grace:
        yield f"is killed sooner than the {grace} s of compose"


def _of_image() -> str:
    found = re.search(r'CMD \["ready", "(\d+)"\]', (ROOT / "Dockerfile").read_text("utf-8"))
    return found.group(1) if found else ""


def _servers(build: Build, services: dict[str, Any]) -> Iterator[str]:
    wanted = dict(filter(None, map(server_setting, services["postgres"]["command"])))
    if workload := build.named("StatefulSet", "postgres"):
        here = dict(filter(None, map(server_setting, Workload(workload).container["args"])))
        yield from _differences("postgres", here, wanted)
    for cluster in build.of("Cluster"):
        yield from _differences(
            cluster["metadata"]["name"], cluster["spec"]["postgresql"]["parameters"], wanted
        )
    if workload := build.named("StatefulSet", "kafka"):
        env = {variable["name"]: variable["value"] for variable in Workload(workload).container["env"]}
        there = {name: str(value) for name, value in services["kafka"]["environment"].items()}
        for left in KAFKA_DIFFERS:
            env.pop(left, None)
            there.pop(left, None)
        yield from _differences("kafka", env, there)
    for name, image in {"postgres": "postgres", "kafka": "kafka"}.items():
        found = build.named("StatefulSet", name)
        if found and Workload(found).container["image"] not in services[image]["image"]:
            yield f"{name} runs {Workload(found).container['image']}, and {services[image]['image']} in compose"


def server_setting(argument: str) -> tuple[str, str] | None:
    """Name and value of `-cmax_connections=300`."""
    found = _SETTING.match(argument)
    return (found.group(1), found.group(2)) if found else None


def _differences(name: str, here: dict[str, str], there: dict[str, str]) -> Iterator[str]:
    for key in sorted(here.keys() | there.keys()):
        if here.get(key) != there.get(key):
            yield f"{name}: {key} is {here.get(key)}, and {there.get(key)} in compose"


def temporary(workload: Workload) -> int:
    """MiB that /tmp may hold; 0 without a limit."""
    volumes = [volume.get("emptyDir") or {} for volume in workload.pod.get("volumes", ())]
    return sum(mebibytes(volume["sizeLimit"]) for volume in volumes if "sizeLimit" in volume)


def _temporary_of_compose(service: Document) -> int:
    sizes = [_TMPFS.match(place) for place in service.get("tmpfs", ())]
    return sum(mebibytes(size.group(1)) for size in sizes if size)


def mebibytes(size: str) -> int:
    """Of `64Mi` and of compose's `64m`."""
    number, unit = re.fullmatch(r"(\d+)(\w+)", str(size)).groups()  # type: ignore[union-attr]
    return int(number) * _UNITS[unit]
