"""What is done to the running product: updates, kills, evictions, scaling, rotated keys. Each waits until all is well again."""

import base64
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from local_stack.plan import SERVICES
from tests.k8s.cluster import PATIENCE, Cluster, ClusterFailed, overlay, until
from tests.k8s.manifests import Document

#: An image that is nowhere: its pods never become ready, and the old ones stay.
BAD_IMAGE: Final = "unionhall/gateway:none"
#: Seconds that a service waits before it asks the issuer for unknown keys again, and some more.
_COOL_DOWN: Final = 35
#: As the worker's role, which asks for the job and looks after it.
_ASKED: Final = "INSERT INTO jobs (id, kind, payload) VALUES (uuidv7(), 'keys.rotate', '{}') RETURNING id"
#: Rows of a roster keep the key that they came with, for 30 days: so long an installation keeps the old key.
_WRAPPED: Final = {
    "membership": ("members.data_key_wrapped", "roster_imports.file_key_wrapped"),
    "welfare": (
        "dossiers.data_key_wrapped",
        "dossier_persons.data_key_wrapped",
        "cases.data_key_wrapped",
    ),
    "events": ("lotteries.seed_wrapped", "feedback.data_key_wrapped"),
}


def update(cluster: Cluster, name: str, version: str) -> None:
    """One Deployment as the overlay of a version has it."""
    service, component = _labels(name)
    cluster.kubectl("apply", "-k", overlay(version), "--selector", f"{service},{component}")
    cluster.rolled_out(name)
    images = {pod["spec"]["containers"][0]["image"] for pod in cluster.pods(service, component)}
    assert {image.rpartition(":")[2] for image in images} == {version}, images


def bad_image(cluster: Cluster) -> None:
    """A version that cannot start is held back, and taken back."""
    name = "deployment.apps/gateway-http"
    before = _ready(cluster, name)
    cluster.kubectl("set", "image", name, f"service={BAD_IMAGE}")
    try:
        cluster.kubectl("rollout", "status", name, "--timeout=20s")
    except ClusterFailed:
        held = _ready(cluster, name)
        assert held == before, f"the pods of before did not stay: {before}, then {held}"
        cluster.kubectl("rollout", "undo", name)
        cluster.rolled_out(name)
    else:
        raise AssertionError("an image that does not exist was rolled out")


def evictions(cluster: Cluster) -> None:
    """The second is refused until the place of the first is taken."""
    name = "deployment.apps/membership-http"
    until(partial(_are_ready, cluster, name, 2), "two pods of membership-http are ready")
    first, second = sorted(_ready(cluster, name))
    assert cluster.evict(first), "the first eviction was refused"
    assert not cluster.evict(second), "both pods of a service could be evicted at once"
    _replaced(cluster, name, first, 2)
    until(lambda: cluster.evict(second), "the second eviction is granted once the first place is taken", 60)
    _replaced(cluster, name, second, 2)


def scaled(cluster: Cluster) -> None:
    """The workers of one service after the other, thrice and once again: as they are scaled by their own lag."""
    for service in SERVICES:
        name = f"deployment.apps/{service}-worker"
        for count in (3, 1):
            cluster.kubectl("scale", name, f"--replicas={count}")
            cluster.rolled_out(name)
            until(partial(_are_ready, cluster, name, count), f"{count} pods of {name} are ready")
            time.sleep(5)


def killed(cluster: Cluster, name: str) -> None:
    """A pod is gone at once, without a word."""
    before = _ready(cluster, name)
    victim = min(before)
    cluster.kubectl("delete", "pod", victim, "--grace-period=0", "--force")
    _replaced(cluster, name, victim, len(before))


def server_replaced(cluster: Cluster, name: str) -> None:
    """A pod of PostgreSQL or Kafka; its volume stays."""
    before = cluster.get("pod", f"{name}-0")["metadata"]["uid"]
    cluster.kubectl("delete", "pod", f"{name}-0")

    def is_another() -> bool:
        try:
            pod = cluster.get("pod", f"{name}-0")
        except ClusterFailed:
            return False
        return bool(pod["metadata"]["uid"] != before and _is_ready(pod))

    until(is_another, f"another {name}-0 is ready")
    for deployment in cluster.deployments():
        until(partial(_all_ready, cluster, deployment), f"{deployment} is ready again")


def token_keys_rotated(cluster: Cluster) -> None:
    """As an identity provider does: the new key is published, later signed with, and the old one taken away."""
    old, new = cluster.issuer.jwks()["keys"]
    cluster.publish({"keys": [old, new]})
    time.sleep(_COOL_DOWN)
    cluster.signs_with = "ES256"
    time.sleep(5)
    cluster.publish({"keys": [new]})
    time.sleep(5)


def key_added(cluster: Cluster) -> None:
    """Every process knows the new key-encryption key; then it is the current one."""
    ring = cluster.key_ring()
    ring["field"]["keys"]["f2"] = base64.b64encode(os.urandom(32)).decode()
    cluster.give_keys(ring)
    cluster.restart()
    ring["field"]["current"] = "f2"
    cluster.give_keys(ring)
    cluster.restart()


def rewrapped(cluster: Cluster) -> None:
    """What lies under the old key is wrapped anew, and nothing is left under it."""
    asked = {service: cluster.sql(service, _ASKED) for service in _WRAPPED}
    for service, job in asked.items():
        until(partial(_is_done, cluster, service, job), f"keys.rotate of {service} is done")
    held = {place: names for service in _WRAPPED for place, names in _under(cluster, service)}
    assert "f2" in held["members.data_key_wrapped"], held
    assert not [place for place, names in held.items() if names - {"f2"}], held


def key_removed(cluster: Cluster) -> None:
    """The old key is in no process any more."""
    ring = cluster.key_ring()
    del ring["field"]["keys"]["f1"]
    cluster.give_keys(ring)
    cluster.restart()


def _under(cluster: Cluster, service: str) -> Iterator[tuple[str, set[str]]]:
    """The names of the keys that wrap what is in each place."""
    for place in _WRAPPED[service]:
        table, column = place.split(".")
        name = f"convert_from(substring({column}, 2, get_byte({column}, 0)), 'UTF8')"
        asked = f"SELECT DISTINCT {name} FROM {table} WHERE {column} IS NOT NULL"
        yield place, set(cluster.sql(service, asked).split())


def _labels(name: str) -> tuple[str, str]:
    service, _, component = name.rpartition("/")[2].rpartition("-")
    return f"app.kubernetes.io/name={service}", f"app.kubernetes.io/component={component}"


def _replaced(cluster: Cluster, name: str, victim: str, count: int) -> None:
    def is_replaced() -> bool:
        ready = _ready(cluster, name)
        return victim not in ready and len(ready) == count

    until(is_replaced, f"{victim} has a successor", PATIENCE)


def _ready(cluster: Cluster, name: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in cluster.pods(*_labels(name)) if _is_ready(pod)}


def _are_ready(cluster: Cluster, name: str, count: int) -> bool:
    return len(_ready(cluster, name)) == count


def _is_done(cluster: Cluster, service: str, job: str) -> bool:
    return cluster.sql(service, f"SELECT state FROM jobs WHERE id = '{job}'") == "done"


def _all_ready(cluster: Cluster, name: str) -> bool:
    return all(_is_ready(pod) for pod in cluster.pods(*_labels(name)))


def _is_ready(pod: Document) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
