"""`unionhall verify` for containers: whether all that must hold does hold, asked of programs beside the services and of these.

How a program is run and a service is asked there, the installation tells: `docker compose` or a cluster.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from local_stack.plan import SERVICES
from shared.contracts.catalogue import full_registry

#: By service, owner and kind: the digest of each bucket of what the service holds.
Held = dict[tuple[str, str, str], dict[str, str]]


class Installation(Protocol):
    """Where it is asked."""

    def program(self, service: str, module: str) -> str:
        """What a program of a service's worker prints, which may end with 1."""

    def answers(self, service: str, paths: Sequence[str]) -> Sequence[tuple[int, str]]:
        """Status and text of what a service's HTTP process answers the administrator, inside."""


def breaches(installation: Installation, patience: float) -> list[str]:
    """What is broken, in words: in a database, in an audit chain, or between an owner and a replica.

    `patience`: seconds for the relays to send and the replicas to read all that there is.
    """
    found = []
    for service in SERVICES:
        found += _of_database(installation, service) + _of_audit(installation, service)
    return found + _of_replicas(installation, patience)


def _of_database(installation: Installation, service: str) -> list[str]:
    looked: Sequence[Mapping[str, Any]] = json.loads(
        installation.program(service, f"{service}_service.invariants")
    )
    assert looked, f"{service} looks at nothing"
    return [f"{one['id']} {service}: {one['what']} {one['offenders']}" for one in looked if one["offenders"]]


def _of_audit(installation: Installation, service: str) -> list[str]:
    report = json.loads(installation.program(service, "shared.security.verify_audit"))
    return [] if report["valid"] else [f"I8 {service}: {report['first_broken']} {report['reason']}"]


def _of_replicas(installation: Installation, patience: float) -> list[str]:
    """I1: each replica comes to hold what its owner holds, ids and versions alike."""
    deadline = time.monotonic() + patience
    while True:
        held = {
            key: buckets for service in SERVICES for key, buckets in _digests(installation, service).items()
        }
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


def _digests(installation: Installation, service: str) -> Held:
    kinds = [tuple(topic.split(".")[1:3]) for topic in full_registry().topics]
    answers = installation.answers(service, [f"/internal/v1/digest/{kind}" for _, kind in kinds])
    held = {}
    for (owner, kind), (status, text) in zip(kinds, answers, strict=True):
        # Who holds nothing of a kind says 404.
        if status != 404:
            assert status == 200, f"{service} {kind}: {status} {text[:500]}"
            held[service, owner, kind] = json.loads(text)["buckets"]
    return held
