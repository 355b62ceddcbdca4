"""What policies allow, worked out, and each kind of difference from the list."""

from typing import Any

import pytest

from tests.k8s import flows
from tests.k8s.manifests import Build, Document
from tests.k8s.sample import sample

GATEWAY = {"app.kubernetes.io/name": "gateway", "app.kubernetes.io/component": "http"}
MEMBERSHIP = {"app.kubernetes.io/name": "membership", "app.kubernetes.io/component": "http"}
LISTED: Document = {
    "outside": {"monitoring": {"namespace": "monitoring"}, "world": {}},
    "made": {"base": {"gateway-http": GATEWAY}},
    "flows": {"base": [{"from": ["gateway-http"], "to": "membership-http", "ports": ["8080/TCP"]}]},
}
PORT: Document = {"protocol": "TCP", "port": 8080}


def policy(name: str, selector: Document, **rules: Any) -> Document:
    sides = {"ingress": "Ingress", "egress": "Egress"}
    spec = {"podSelector": selector, "policyTypes": [sides[side] for side in rules], **rules}
    return {"kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}


def peer(labels: dict[str, str]) -> Document:
    return {"podSelector": {"matchLabels": labels}}


DENY = policy("deny", {}, ingress=[], egress=[])
OUT = policy("out", {"matchLabels": GATEWAY}, egress=[{"to": [peer(MEMBERSHIP)], "ports": [PORT]}])
IN = policy("in", {"matchLabels": MEMBERSHIP}, ingress=[{"from": [peer(GATEWAY)], "ports": [PORT]}])


def complaints(*policies: Document) -> list[str]:
    build = sample(*policies)
    return flows.complaints(Build("sample", build.parts, build.documents), LISTED)


def test_policies_that_allow_the_list_are_without_fault() -> None:
    assert complaints(DENY, OUT, IN) == []


def test_a_flow_needs_both_ends() -> None:
    wanted = "gateway-http cannot reach membership-http at 8080/TCP, which flows.yaml names"
    assert complaints(DENY, OUT) == [wanted]
    assert complaints(DENY, IN) == [wanted]


def test_without_a_default_everything_is_open() -> None:
    found = complaints(OUT, IN)
    assert "membership-http may reach world at 4444/TCP, which flows.yaml does not name" in found
    # What a policy selects for a direction is closed in it.
    assert "world may reach membership-http at 8080/TCP, which flows.yaml does not name" not in found


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"from": [peer(MEMBERSHIP)], "ports": [{"protocol": "TCP", "port": 9}]}, []),  # the other end stays closed
        ({"from": [{"namespaceSelector": {}}], "ports": [PORT]}, ["monitoring may reach membership-http at 8080/TCP"]),
        ({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [PORT]}, ["world may reach membership-http at 8080/TCP"]),
        (
            {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]},
            ["monitoring may reach membership-http at 4444/TCP", "monitoring may reach membership-http at 8080/TCP"],
        ),
        ({"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}]}, []),
        (
            {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "prometheus"}}}], "ports": [PORT]},
            [],
        ),
    ],
)  # fmt: skip
def test_one_rule_too_many_is_noticed(rule: Document, found: list[str]) -> None:
    more = policy("more", {"matchLabels": MEMBERSHIP}, ingress=[rule])
    assert complaints(DENY, OUT, IN, more) == [f"{line}, which flows.yaml does not name" for line in found]


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"operator": "In", "values": ["membership"]}, True),
        ({"operator": "In", "values": ["welfare"]}, False),
        ({"operator": "NotIn", "values": ["membership"]}, False),
        ({"operator": "Exists"}, True),
        ({"operator": "DoesNotExist"}, False),
    ],
)
def test_expressions_select(expression: Document, *, selected: bool) -> None:
    selector = {"matchExpressions": [{"key": "app.kubernetes.io/name", **expression}]}
    into = policy("in", selector, ingress=[{"from": [peer(GATEWAY)], "ports": [PORT]}])
    assert (complaints(DENY, OUT, into) == []) is selected


def test_what_is_not_understood_is_an_error() -> None:
    named = policy(
        "named", {"matchLabels": MEMBERSHIP}, ingress=[{"ports": [{"protocol": "TCP", "port": "http"}]}]
    )
    with pytest.raises(ValueError, match="only single numbers"):
        complaints(DENY, OUT, IN, named)


def test_the_list_names_parts_that_exist() -> None:
    listed = flows.declared()
    parts = {"base", "local", "strimzi", "cloudnative-pg", "keda", "hpa", "monitoring", "gateway-api"}
    assert listed["flows"].keys() <= parts
    assert listed["made"].keys() <= parts
