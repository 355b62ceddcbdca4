"""Who may open a connection to whom, worked out from the NetworkPolicies of a build and held against deploy/k8s/flows.yaml.

A policy is read as Kubernetes reads it: a pod that some policy selects for a direction may do only what one of them allows, and a
connection needs both ends. What lies outside the namespace has no policies here, so only our end counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import yaml

from tests.k8s.manifests import FOLDER, Build, Document

#: Tried on every pair besides the ports that somebody names: a rule without ports allows this one too.
OTHER_PORT = "4444/TCP"
NAMESPACE = "unionhall"
_NAMESPACE_NAME = "kubernetes.io/metadata.name"
Flow = tuple[str, str, str]


@dataclass(frozen=True)
class Place:
    """Somebody who may speak or be spoken to. `namespace` is empty for the world outside the cluster."""

    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)


def declared() -> Document:
    """The list."""
    found: Document = yaml.safe_load((FOLDER / "flows.yaml").read_text("utf-8"))
    return found


def complaints(build: Build, listed: Document) -> list[str]:
    """Connections that the policies of a build allow and the list does not name, and the other way round."""
    among = list(places(build, listed))
    listed_flows = set(wanted(build, listed, among))
    allowed = set(_allowed(build.of("NetworkPolicy"), among, {port for _, _, port in listed_flows}))
    return [
        *(f"{a} may reach {b} at {port}, which flows.yaml does not name" for a, b, port in sorted(allowed - listed_flows)),
        *(f"{a} cannot reach {b} at {port}, which flows.yaml names" for a, b, port in sorted(listed_flows - allowed)),
    ]  # fmt: skip


def places(build: Build, listed: Document) -> Iterator[Place]:
    """Everybody in a build, and whom the list names besides."""
    for workload in build.workloads:
        yield Place(workload.name, NAMESPACE, workload.labels)
    for part, pods in listed["made"].items():
        if part in build.parts:
            for name, labels in pods.items():
                yield Place(name, NAMESPACE, labels)
    for name, outside in listed["outside"].items():
        yield Place(name, outside.get("namespace", ""), outside.get("labels", {}))


def wanted(build: Build, listed: Document, among: Sequence[Place]) -> Iterator[Flow]:
    """The list, its patterns filled in."""
    for part in sorted(build.parts & listed["flows"].keys()):
        for flow in listed["flows"][part]:
            sources = [place for place in among if _is_named(place, flow["from"])]
            targets = [place for place in among if _is_named(place, [flow["to"]])]
            for source, target in product(sources, targets):
                yield from ((source.name, target.name, port) for port in flow["ports"])


def _is_named(place: Place, patterns: Iterable[str]) -> bool:
    """`*` means pods of ours; what is outside is named in full."""
    if place.namespace != NAMESPACE:
        return place.name in patterns
    return any(fnmatchcase(place.name, pattern) for pattern in patterns)


def _allowed(policies: Sequence[Document], places: Sequence[Place], named: Iterable[str]) -> Iterator[Flow]:
    ports = sorted({OTHER_PORT, *named, *_ports_of(policies)})
    out = {place.name: _rules(policies, "Egress", place) for place in places}
    into = {place.name: _rules(policies, "Ingress", place) for place in places}
    for source, target in product(places, places):
        if NAMESPACE in {source.namespace, target.namespace}:
            for port in ports:
                if _may(out[source.name], "to", target, port) and _may(
                    into[target.name], "from", source, port
                ):
                    yield source.name, target.name, port


def _ports_of(policies: Iterable[Document]) -> Iterator[str]:
    for policy in policies:
        for rule in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
            for port in rule.get("ports", ()):
                yield _written(port)


def _written(port: Document) -> str:
    if not isinstance(port.get("port"), int) or "endPort" in port:
        raise ValueError(f"only single numbers are understood here, not {port}")
    return f"{port['port']}/{port.get('protocol', 'TCP')}"


def _rules(policies: Iterable[Document], direction: str, place: Place) -> list[Document] | None:
    """What the policies that select a place allow it in a direction; None where none does, and for what lies outside."""
    if place.namespace != NAMESPACE:
        return None
    selecting = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], place.labels)
    ]
    return [rule for spec in selecting for rule in spec.get(direction.lower(), ())] if selecting else None


def _may(rules: Sequence[Document] | None, peers: str, there: Place, port: str) -> bool:
    """Whether one end of a connection is open to the other."""
    return rules is None or any(
        _has_port(rule.get("ports"), port) and _has_peer(rule.get(peers), there) for rule in rules
    )


def _has_port(ports: Sequence[Document] | None, port: str) -> bool:
    return not ports or port in {_written(one) for one in ports}


def _has_peer(peers: Sequence[Document] | None, place: Place) -> bool:
    return not peers or any(_is_peer(peer, place) for peer in peers)


def _is_peer(peer: Document, place: Place) -> bool:
    if "ipBlock" in peer:
        # Addresses of pods are not for policies to name: a block means the world.
        return not place.namespace
    if not place.namespace:
        return False
    if "namespaceSelector" in peer:
        if not _selects(peer["namespaceSelector"], {_NAMESPACE_NAME: place.namespace}):
            return False
    elif place.namespace != NAMESPACE:
        return False
    return _selects(peer.get("podSelector", {}), place.labels)


def _selects(selector: Document, labels: Mapping[str, str]) -> bool:
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return exact and all(_holds(expression, labels) for expression in selector.get("matchExpressions", ()))


def _holds(expression: Document, labels: Mapping[str, str]) -> bool:
    value: Any = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case unknown:
            raise ValueError(f"{unknown} is no operator of a selector")
