"""The AsyncAPI 3.0 document of all topics and events (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""

from typing import Any, Final

from shared.contracts.envelope import SCHEMA_BASE, SEQUENCE_DIGITS, Registry, Topic
from shared.contracts.schemas import Schema

Document = dict[str, Any]

_HEADERS: Final[Schema] = {
    "type": "object",
    "required": [
        "content-type",
        "ce_specversion",
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_subject",
        "ce_time",
        "ce_dataschema",
        "ce_sequence",
    ],
    "properties": {
        "content-type": {"const": "application/json"},
        "ce_specversion": {"const": "1.0"},
        "ce_id": {
            "type": "string",
            "format": "uuid",
            "description": "Unique; the same when a record is sent again.",
        },
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string", "description": "The owning service, /unionhall/<service>."},
        "ce_subject": {
            "type": "string",
            "format": "uuid",
            "description": "The aggregate; also the record's key.",
        },
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_dataschema": {"type": "string", "description": f"{SCHEMA_BASE}<ce_type>"},
        "ce_sequence": {
            "type": "string",
            "pattern": f"^[0-9]{{{SEQUENCE_DIGITS}}}$",
            "description": "Version of the aggregate, zero-padded; later versions of a key come later.",
        },
        "traceparent": {"type": "string", "description": "W3C Trace Context of the request that caused it."},
    },
}


def asyncapi_document(registry: Registry, schemas: dict[str, Schema]) -> Document:
    """One channel a topic, one message an event type, one `send` operation a channel for its owner."""
    channels = {_channel_id(topic): _channel(registry, topic) for topic in registry.topics.values()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Unionhall events",
            "version": "1.0.0",
            "description": "Facts that the services tell each other: CloudEvents 1.0 in Kafka binary mode, carrying state.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            f"publish-{channel}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{channel}"},
                "messages": [
                    {"$ref": f"#/channels/{channel}/messages/{name}"} for name in content["messages"]
                ],
            }
            for channel, content in channels.items()
        },
        "components": {
            "messages": {name: _message(name, schema) for name, schema in schemas.items()},
            "schemas": {"Headers": _HEADERS},
        },
    }


def _channel_id(topic: Topic) -> str:
    return topic.name.removeprefix("unionhall.")


def _channel(registry: Registry, topic: Topic) -> Document:
    return {
        "address": topic.name,
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"}
            for name, of in registry.topic_of.items()
            if of == topic
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": (
                    # The binding has no field for the lag of compaction: the extension says it.
                    {"cleanup.policy": ["compact"], "x-min.compaction.lag.ms": topic.retention_ms}
                    if topic.compacted
                    else {"cleanup.policy": ["delete"], "retention.ms": topic.retention_ms}
                ),
                "bindingVersion": "0.5.0",
            }
        },
    }


def _message(name: str, schema: Schema) -> Document:
    return {
        "name": name,
        "title": schema["title"],
        "summary": schema.get("description", "").split("\n\n")[0],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/Headers"},
        # A schema of its own document: its references are relative to itself.
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"{name}.json"},
        },
        "bindings": {"kafka": {"key": {"type": "string", "format": "uuid"}, "bindingVersion": "0.5.0"}},
    }
