"""What a process is given: the variables of its environment, and the secrets in its files."""

from collections.abc import Iterator

from tests.k8s.manifests import Build, Workload

SECRETS = "/run/secrets"
PREFIX = "unionhall_"


def given(build: Build, workload: Workload) -> dict[str, str]:
    """Variable -> value; a secret's value is unknown and empty."""
    return {**dict(_from_maps(build, workload)), **dict(_own(build, workload)), **dict(_secrets(workload))}


def files(workload: Workload, mounted: str = SECRETS) -> dict[str, str]:
    """File -> name of the Secret that it comes from, in the volume mounted there."""
    volumes = {volume["name"]: volume for volume in workload.pod.get("volumes", ())}
    return {
        item["path"]: source["secret"]["name"]
        for mount in workload.container.get("volumeMounts", ())
        if mount["mountPath"] == mounted
        for source in volumes[mount["name"]]["projected"]["sources"]
        for item in source["secret"]["items"]
    }


def _from_maps(build: Build, workload: Workload) -> Iterator[tuple[str, str]]:
    for source in workload.container.get("envFrom", ()):
        found = build.named("ConfigMap", source["configMapRef"]["name"])
        yield from (found or {}).get("data", {}).items()


def _own(build: Build, workload: Workload) -> Iterator[tuple[str, str]]:
    for variable in workload.container.get("env", ()):
        if "value" in variable:
            yield variable["name"], variable["value"]
        else:
            key = variable["valueFrom"]["configMapKeyRef"]
            found = build.named("ConfigMap", key["name"])
            yield variable["name"], (found or {"data": {}})["data"].get(key["key"], "")


def _secrets(workload: Workload) -> Iterator[tuple[str, str]]:
    return ((file.upper(), "") for file in files(workload) if file.startswith(PREFIX))
