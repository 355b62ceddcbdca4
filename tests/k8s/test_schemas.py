"""Strict schemas refuse what they do not know."""

import json
from pathlib import Path

import pytest
import yaml

from tests.k8s.manifests import Document
from tests.k8s.schemas import Schemas, strict

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.org}
spec:
  group: example.org
  names: {kind: Thing}
  versions:
    - name: v1
      served: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [size]
              properties:
                size: {type: integer, minimum: 0, exclusiveMinimum: true}
                port: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}
                note: {type: string, nullable: true}
                labels: {type: object, additionalProperties: {type: string}}
                free: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {a: {type: string}}}
                parts: {type: array, items: {type: object, properties: {name: {type: string}}}}
    - {name: v0, served: false, schema: {openAPIV3Schema: {type: object}}}
"""
GOOD: Document = {
    "apiVersion": "example.org/v1",
    "kind": "Thing",
    "metadata": {"name": "one", "labels": {"a": "b"}},
    "spec": {
        "size": 1,
        "port": "http",
        "note": None,
        "labels": {"x": "y"},
        "free": {"b": 1},
        "parts": [{"name": "n"}],
    },
}


@pytest.fixture
def schemas(tmp_path: Path) -> Schemas:
    (tmp_path / "kubernetes").mkdir()
    port = {"type": "object", "properties": {"port": {"type": "integer"}}, "additionalProperties": False}
    (tmp_path / "kubernetes/_definitions.json").write_text(json.dumps({"$defs": {"Port": port}}), "utf-8")
    fields = {
        "kind": {},
        "apiVersion": {},
        "metadata": {},
        "port": {"$ref": "/api/_definitions.json#/$defs/Port"},
    }
    service = {"type": "object", "properties": fields, "additionalProperties": False}
    (tmp_path / "kubernetes/service-v1.json").write_text(json.dumps(service), "utf-8")
    (tmp_path / "kubernetes/deployment-apps-v1.json").write_text("{}", "utf-8")
    (tmp_path / "definitions/any").mkdir(parents=True)
    (tmp_path / "definitions/any/things.yaml").write_text(DEFINITION, "utf-8")
    return Schemas(tmp_path / "kubernetes", tmp_path / "definitions")


def test_what_fits_is_without_fault(schemas: Schemas) -> None:
    assert schemas.complaints(GOOD) == []
    assert (
        schemas.complaints({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}) == []
    )


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("sizes", 1, "'sizes' was unexpected"),
        ("size", "1", "is not of type 'integer'"),
        ("size", 0, "less than or equal to the minimum"),
        ("port", 1.5, "is not valid under any"),
        ("labels", {"x": 1}, "is not of type 'string'"),
        ("free", {"a": 1}, "is not of type 'string'"),
        ("parts", [{"nam": "n"}], "'nam' was unexpected"),
    ],
)
def test_a_field_that_does_not_fit_is_noticed(
    schemas: Schemas, field: str, value: object, complaint: str
) -> None:
    (found,) = schemas.complaints({**GOOD, "spec": {**GOOD["spec"], field: value}})
    assert found.startswith("Thing one: spec")
    assert complaint in found


def test_a_missing_field_is_noticed(schemas: Schemas) -> None:
    (found,) = schemas.complaints({**GOOD, "spec": {}})
    assert "'size' is a required property" in found


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("example.org/v1", "Things"),
        ("example.org/v0", "Thing"),
        ("example.org/v2", "Thing"),
        ("v1", "Deployment"),
    ],
)
def test_an_unknown_kind_is_noticed(schemas: Schemas, version: str, kind: str) -> None:
    (found,) = schemas.complaints({"apiVersion": version, "kind": kind, "metadata": {"name": "one"}})
    assert found == f"{kind} one: {version} knows no such kind"


def test_a_field_of_kubernetes_is_held_against_its_schema(schemas: Schemas) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    assert "'spek' was unexpected" in schemas.complaints({**service, "spek": {}})[0]
    assert "'prot' was unexpected" in schemas.complaints({**service, "port": {"prot": 1}})[0]


def test_an_object_that_names_no_field_stays_open() -> None:
    assert "additionalProperties" not in strict(yaml.safe_load("{type: object}"))
