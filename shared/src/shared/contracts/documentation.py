"""`docs/events.md`: the catalogue of events for people, made from the models."""

import json
from typing import Final

from shared.contracts.envelope import Registry
from shared.contracts.golden import Record
from shared.contracts.schemas import Schema, non_null, resolved

_HEAD: Final = """# Events

Made by `python -m shared.contracts.generate --write`; do not edit. The exact schemas are in [contracts](contracts/), the
AsyncAPI 3 document is [contracts/asyncapi.json](contracts/asyncapi.json).

Every event is a CloudEvent 1.0 in Kafka binary mode: its attributes are headers, its value is the JSON of `data`. The key is
the aggregate's id. `ce_sequence` is the aggregate's version: one version is exactly one event, and a reader applies an event
only if its sequence is newer than what he has. `data.state` is the aggregate's whole public state after the change. No event
holds personal data: names are asked of the membership service by id. An `erased` event has no value (a tombstone); keep the
id and the sequence, forget the rest. Readers ignore fields they do not know.

"""


def events_page(registry: Registry, schemas: dict[str, Schema], golden: dict[str, Record]) -> str:
    """The whole page: per topic its events with meaning and own fields, the state's fields, and an example record."""
    parts = [_HEAD]
    for topic in registry.topics.values():
        names = [name for name, of in registry.topic_of.items() if of == topic]
        kept = (
            f"compacted after {topic.retention_ms // 86_400_000} days" if topic.compacted else "short-lived"
        )
        parts.append(f"## `{topic.name}`\n\n{topic.partitions} partitions, {kept}.\n\n")
        parts.append("| event | meaning | fields beside `state` |\n|---|---|---|\n")
        parts += [_event_row(name, schemas[name]) for name in names]
        state = _state_of(schemas[names[0]])
        if state:
            parts.append(
                f"\n### State\n\n{_cell(state[0].get('description', ''))}\n\n| field | type |\n|---|---|\n"
            )
            parts += [
                f"| `{field}` | {_type(schema, state[1])} |\n"
                for field, schema in state[0]["properties"].items()
            ]
        parts.append(_example(golden[names[0]]))
    return "".join(parts).rstrip("\n") + "\n"


def _event_row(name: str, schema: Schema) -> str:
    own = [
        f"`{field}`: {_type(content, schema)}"
        for field, content in schema.get("properties", {}).items()
        if field != "state"
    ]
    return f"| `{name}` | {_cell(schema.get('description', ''))} | {'; '.join(own) or '–'} |\n"


def _state_of(schema: Schema) -> tuple[Schema, Schema] | None:
    state = schema.get("properties", {}).get("state")
    return (resolved(state, schema), schema) if state else None


def _type(schema: Schema, root: Schema) -> str:
    found, nullable = non_null(schema, root)
    if "enum" in found:
        text = "one of " + ", ".join(f"`{value}`" for value in found["enum"])
    else:
        text = found.get("format") or found.get("type", "object")
        if "minimum" in found:
            text += f" {found['minimum']}–{found.get('maximum', '')}"
    return f"{text} or null" if nullable else text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _example(record: Record) -> str:
    headers = "".join(f"{name}: {value}\n" for name, value in record["headers"].items())
    value = json.dumps(record["value"], ensure_ascii=False, indent=1)
    return f"\n### Example\n\n```\nkey: {record['key']}\n{headers}\n{value}\n```\n\n"
