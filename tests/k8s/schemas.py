"""Strict schemas: a kind or a field that Kubernetes or an operator does not know is an error, as for `--validate=strict`.

Rules in CEL, of which custom resources have some, are the cluster's to judge.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.k8s.manifests import Document, documents

#: Everybody's, so no definition of a custom resource repeats them.
_COMMON: Final = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object"},
}
#: What the schemas of Kubernetes share, and the name under which they refer to it.
_SHARED: Final = "_definitions.json"
_SHARED_NAME: Final = f"/api/{_SHARED}"
_NUMBER_OR_TEXT: Final = {"anyOf": [{"type": "integer"}, {"type": "string"}]}


class Schemas:
    """The schemas of Kubernetes and of the operators."""

    def __init__(self, kubernetes: Path, definitions: Path) -> None:
        """`kubernetes` holds a strict JSON schema a kind; `definitions` the CustomResourceDefinitions, in any folders."""
        self._kubernetes = kubernetes
        shared = json.loads((kubernetes / _SHARED).read_text("utf-8"))
        self._registry: Registry[Any] = Registry().with_resource(
            _SHARED_NAME, DRAFT202012.create_resource(shared)
        )
        self._custom = {
            (group, version, kind): schema
            for group, version, kind, schema in custom_schemas(read(definitions))
        }
        self._validator: Callable[[str, str, str], Validator | None] = cache(self._make_validator)

    def complaints(self, document: Document) -> list[str]:
        """What the schema of its kind does not allow."""
        group, _, version = str(document["apiVersion"]).rpartition("/")
        kind = document["kind"]
        place = f"{kind} {document['metadata']['name']}"
        validator = self._validator(group, version, kind)
        if validator is None:
            return [f"{place}: {document['apiVersion']} knows no such kind"]
        return [
            f"{place}: {'.'.join(map(str, wrong.absolute_path)) or 'it'}: {wrong.message[:300]}"
            for wrong in validator.iter_errors(document)
        ]

    def _make_validator(self, group: str, version: str, kind: str) -> Validator | None:
        if custom := self._custom.get((group, version, kind)):
            return Draft202012Validator(custom)
        words = [kind.lower(), *([group.partition(".")[0]] if group else []), version]
        file = self._kubernetes / f"{'-'.join(words)}.json"
        if not file.exists():
            return None
        return Draft202012Validator(json.loads(file.read_text("utf-8")), registry=self._registry)


def read(folder: Path) -> Iterator[Document]:
    """Every document of every YAML file below a folder."""
    for file in sorted(folder.rglob("*.yaml")):
        yield from documents(file.read_text("utf-8"))


def custom_schemas(definitions: Iterable[Document]) -> Iterator[tuple[str, str, str, Document]]:
    """Group, version, kind and strict schema of everything that CustomResourceDefinitions define."""
    for definition in definitions:
        if definition["kind"] != "CustomResourceDefinition":
            continue
        spec = definition["spec"]
        for version in spec["versions"]:
            if version.get("served") and not version.get("deprecated"):
                schema = strict(version["schema"]["openAPIV3Schema"])
                schema["properties"] = {**schema.get("properties", {}), **_COMMON}
                yield spec["group"], version["name"], spec["names"]["kind"], schema


def strict(schema: Mapping[str, Any]) -> Document:
    """The same as JSON schema, in which an object has no fields but those that are named."""
    if schema.get("x-kubernetes-int-or-string"):
        return dict(_NUMBER_OR_TEXT)
    made: Document = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if "properties" in schema:
        made["properties"] = {name: strict(inner) for name, inner in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in schema:
            made["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = strict(schema["additionalProperties"])
    if isinstance(schema.get("items"), dict):
        made["items"] = strict(schema["items"])
    if made.pop("nullable", False) and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    # OpenAPI's are yes or no, JSON schema's are numbers.
    for word, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(word), bool) and made.pop(word):
            made[word] = made.pop(bound)
    return made
