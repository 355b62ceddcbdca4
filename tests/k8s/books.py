"""Whether all that must hold does hold, asked of programs in the workers' pods and of the services."""

import json
import time
from typing import Any, Final

from shared.contracts.catalogue import full_registry
from tests.compose.installation import ASK
from tests.k8s.cluster import ADMINISTRATOR, Cluster
from tests.k8s.references import SERVICES

#: Seconds for the relays to send and the replicas to read all that there is.
PATIENCE: Final = 180
Held = dict[tuple[str, str, str], dict[str, str]]


def breaches(cluster: Cluster) -> list[str]:
    """What is broken, in words: in a database, in an audit chain, or between an owner and a replica."""
    found = []
    for service in SERVICES:
        looked = _program(cluster, service, f"{service}_service.invariants")
        assert looked, f"{service} looks at nothing"
        found += [
            f"{one['id']} {service}: {one['what']} {one['offenders']}" for one in looked if one["offenders"]
        ]
        report = _program(cluster, service, "shared.security.verify_audit")
        if not report["valid"]:
            found.append(f"I8 {service}: {report['first_broken']} {report['reason']}")
    return found + _of_replicas(cluster)


def _program(cluster: Cluster, service: str, module: str) -> Any:
    # Such a program ends with 1 on a breach; what it prints says which.
    said = cluster.kubectl(
        "exec", f"deploy/{service}-worker", "--", "sh", "-c", f"python -m {module} || [ $? = 1 ]"
    )
    return json.loads(said)


def _of_replicas(cluster: Cluster) -> list[str]:
    """Each replica comes to hold what its owner holds, ids and versions alike."""
    deadline = time.monotonic() + PATIENCE
    while True:
        held = {key: buckets for service in SERVICES for key, buckets in _digests(cluster, service).items()}
        differing = [
            f"I1 {owner} → {service}: {kind}"
            for (service, owner, kind), buckets in held.items()
            if service != owner and buckets != held[owner, owner, kind]
        ]
        if not differing or time.monotonic() > deadline:
            replicas = [one for one in held if one[0] != one[1]]
            assert len(replicas) > len(SERVICES), f"hardly any replica was looked at: {replicas}"
            return differing
        time.sleep(2)


def _digests(cluster: Cluster, service: str) -> Held:
    """Of all that a service holds, asked in a pod of its own: nobody else may reach it."""
    kinds = [tuple(topic.split(".")[1:3]) for topic in full_registry().topics]
    headers = {"Authorization": f"Bearer {cluster.token(ADMINISTRATOR)}"}
    at = "http://127.0.0.1:8080/internal/v1/digest"
    asked = [{"method": "GET", "url": f"{at}/{kind}", "headers": headers} for _, kind in kinds]
    said = cluster.kubectl(
        "exec", "-i", f"deploy/{service}-http", "--", "python", "-c", ASK, given=json.dumps(asked)
    )
    # Who holds nothing of a kind says 404.
    return {
        (service, owner, kind): json.loads(text)["buckets"]
        for (owner, kind), (status, text, _) in zip(kinds, json.loads(said), strict=True)
        if status != 404
    }
