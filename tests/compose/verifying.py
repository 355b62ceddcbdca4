"""`unionhall verify` for compose: whether all that must hold does hold, asked of one-shot containers and of the services."""

import json
import time
from typing import Any

from shared.contracts.catalogue import full_registry
from tests.compose.images import SERVICES
from tests.compose.installation import ADMINISTRATOR, Composed

#: Seconds for the relays to send and the replicas to read all that there is.
PATIENCE = 90
Buckets = dict[str, str]


def breaches(installation: Composed) -> list[str]:
    """What is broken, in words: in a database, in an audit chain, or between an owner and a replica."""
    found = []
    for service in SERVICES:
        found += _of_database(installation, service) + _of_audit(installation, service)
    return found + _of_replicas(installation)


def _program(installation: Composed, service: str, *words: str) -> Any:
    # Such a program ends with 1 on a breach; what it prints says which.
    said = installation.compose(
        "run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", f"{service}-worker",
        "-c", f"python -m {' '.join(words)} || [ $? = 1 ]", timeout=300,
    )  # fmt: skip
    return json.loads(said)


def _of_database(installation: Composed, service: str) -> list[str]:
    looked = _program(installation, service, f"{service}_service.invariants")
    assert looked, f"{service} looks at nothing"
    return [
        f"{found['id']} {service}: {found['what']} {found['offenders']}"
        for found in looked
        if found["offenders"]
    ]


def _of_audit(installation: Composed, service: str) -> list[str]:
    report = _program(installation, service, "shared.security.verify_audit")
    return [] if report["valid"] else [f"I8 {service}: {report['first_broken']} {report['reason']}"]


def _of_replicas(installation: Composed) -> list[str]:
    """I1: each replica comes to hold what its owner holds, ids and versions alike."""
    differing: list[str] = []
    deadline = time.monotonic() + PATIENCE
    while True:
        held = _digests(installation)
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


def _digests(installation: Composed) -> dict[tuple[str, str, str], Buckets]:
    """By service, owner and kind."""
    kinds = [tuple(topic.split(".")[1:3]) for topic in full_registry().topics]
    asked = [(service, owner, kind) for owner, kind in kinds for service in SERVICES]
    headers = {"Authorization": f"Bearer {installation.issuer.token_for(ADMINISTRATOR)}"}
    replies = installation.inside(
        *(
            {"method": "GET", "url": f"http://{service}:8080/internal/v1/digest/{kind}", "headers": headers}
            for service, _, kind in asked
        )
    )
    # Who holds nothing of a kind says 404.
    return {
        key: reply.json()["buckets"] for key, reply in zip(asked, replies, strict=True) if reply.status != 404
    }
