"""JSON Schemas (2020-12) of all events, made from the models.

Published schemas are open (`additionalProperties` is left out): a consumer ignores fields that it does not know. "Required"
means required of every record ever written under this version, so a field added later has a default and is not required.
"""

from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from shared.contracts.envelope import SCHEMA_BASE, EventData, Registry

Schema = dict[str, Any]

DIALECT: Final = GenerateJsonSchema.schema_dialect


def event_schemas(registry: Registry) -> dict[str, Schema]:
    """The schema of every event type, by type, in the order of declaration."""
    return {name: _event_schema(registry, name, model) for name, model in registry.types.items()}


def _event_schema(registry: Registry, name: str, model: type[EventData] | None) -> Schema:
    topic = registry.topic_of[name]
    head: Schema = {
        "$schema": DIALECT,
        "$id": f"{SCHEMA_BASE}{name}",
        "x-topic": topic.name,
        "x-partitions": topic.partitions,
    }
    if model is None:
        return head | {
            "title": "Erased",
            "description": "The record has no value: a tombstone. Whoever keeps this aggregate keeps only its id and sequence.",
            "type": "null",
        }
    opened: Schema = _opened(model.model_json_schema(mode="validation"))
    return head | opened


def _opened(node: Any) -> Any:
    """The schema without `additionalProperties: false` and without the titles that pydantic makes from field names."""
    if isinstance(node, list):
        return [_opened(item) for item in node]
    if not isinstance(node, dict):
        return node
    opened = {key: _opened(value) for key, value in node.items() if key != "additionalProperties"}
    for field in opened.get("properties", {}).values():
        field.pop("title", None)
    return opened


def resolved(schema: Schema, root: Schema) -> Schema:
    """`schema`, or what its local `$ref` names in `root`; what stands beside the reference is kept."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    target: Schema = root["$defs"][reference.removeprefix("#/$defs/")]
    return target | {key: value for key, value in schema.items() if key != "$ref"}


def non_null(schema: Schema, root: Schema) -> tuple[Schema, bool]:
    """The schema without null, resolved, and whether null was allowed."""
    found = resolved(schema, root)
    options = [option for option in found.get("anyOf", []) if option.get("type") != "null"]
    if len(options) == 1 and len(options) < len(found["anyOf"]):
        return resolved(options[0], root), True
    return found, False
