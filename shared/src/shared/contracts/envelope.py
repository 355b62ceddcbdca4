"""CloudEvents 1.0 in Kafka binary mode: attributes are headers, the value is the JSON of `data` alone.

`ce_sequence` is the aggregate's version, zero-padded to 19 digits so that it sorts as text. The record's key is the
aggregate's id. An event without data is a compaction tombstone; only an `erased` event may have none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict

Headers = list[tuple[str, bytes]]

SEQUENCE_DIGITS = 19
SCHEMA_BASE = "urn:unionhall:schema:"


@dataclass(frozen=True, slots=True)
class Topic:
    """A declared Kafka topic. The number of partitions never changes: it decides where a key lives."""

    name: str
    partitions: int = 32
    compacted: bool = True
    retention_ms: int = 30 * 24 * 3600 * 1000

    @property
    def source(self) -> str:
        """Who publishes on it, as an event's `source`: "/unionhall/membership"."""
        return "/" + "/".join(self.name.split(".")[:2])


class EventData(BaseModel):
    """Base of every `data`. Closed for the producer; consumers read the JSON and ignore what they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: "unionhall.membership.member.admitted.v1"
    type: ClassVar[str]
    topic: ClassVar[Topic]


@dataclass(frozen=True, slots=True)
class Event:
    """An event to be published: one version of one aggregate."""

    id: UUID
    subject: UUID
    sequence: int
    time: datetime
    source: str
    type: str
    topic: Topic
    data: EventData | None
    traceparent: str | None = None

    def value(self) -> bytes | None:
        """The record's value."""
        return None if self.data is None else orjson.dumps(self.data.model_dump(mode="json"))


@dataclass(slots=True)
class Received:
    """An event as a consumer sees it. `data` is plain JSON; None only for a tombstone.

    Nobody changes one. It is not frozen because freezing takes longer than all the JSON of an event.
    """

    topic: str
    partition: int
    offset: int
    id: UUID
    type: str
    source: str
    subject: UUID
    sequence: int
    time: datetime
    data: dict[str, Any] | None
    traceparent: str | None = None


class UnreadableEvent(ValueError):
    """A record that breaks the envelope: header missing, sequence not a number, data not JSON."""


def event_headers(event: Event) -> Headers:
    """The binary-mode headers of an event to be published."""
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event.id).encode()),
        ("ce_type", event.type.encode()),
        ("ce_source", event.source.encode()),
        ("ce_subject", str(event.subject).encode()),
        ("ce_time", event.time.isoformat().encode()),
        ("ce_dataschema", f"{SCHEMA_BASE}{event.type}".encode()),
        ("ce_sequence", str(event.sequence).zfill(SEQUENCE_DIGITS).encode()),
    ]
    return [*headers, ("traceparent", event.traceparent.encode())] if event.traceparent else headers


def read_record(
    topic: str,
    partition: int,
    offset: int,
    headers: Sequence[tuple[str, bytes]],
    value: bytes | None,
    read_id: Callable[[str], UUID] = UUID,
) -> Received:
    """Decode one Kafka record. Raises UnreadableEvent, naming what is wrong but never quoting the value.

    `read_id` makes an id of its text, or raises ValueError; a consumer brings its driver's, which is quicker.
    """
    found = dict(headers)
    try:
        data = None if value is None else orjson.loads(value)
        # Positions, in the order of the fields: names would take a tenth of all the time.
        received = Received(
            topic,
            partition,
            offset,
            read_id(bytes.decode(found["ce_id"])),
            found["ce_type"].decode(),
            found["ce_source"].decode(),
            read_id(bytes.decode(found["ce_subject"])),
            int(found["ce_sequence"]),
            datetime.fromisoformat(found["ce_time"].decode()),
            data,
            found["traceparent"].decode() if "traceparent" in found else None,
        )
    except KeyError as missing:
        raise UnreadableEvent(f"header {missing} is missing") from None
    except orjson.JSONDecodeError as wrong:
        raise UnreadableEvent(f"data is not JSON: {wrong.msg} at {wrong.pos}") from None
    except ValueError as wrong:
        raise UnreadableEvent(f"a header is malformed ({type(wrong).__name__})") from None
    if data is not None and not isinstance(data, dict):
        raise UnreadableEvent("data is not a JSON object")
    return received


@dataclass(slots=True)
class Registry:
    """All event types, by name. `shared.contracts.catalogue` fills it."""

    types: dict[str, type[EventData] | None] = field(default_factory=dict)
    topics: dict[str, Topic] = field(default_factory=dict)
    topic_of: dict[str, Topic] = field(default_factory=dict)

    def event(self, name: str, topic: Topic) -> Callable[[type[EventData]], type[EventData]]:
        """Class decorator: `@registry.event("unionhall.membership.member.admitted.v1", MEMBERS)`."""

        def register(model: type[EventData]) -> type[EventData]:
            model.type, model.topic = name, topic
            self.declare(name, topic, model)
            return model

        return register

    def declare(self, name: str, topic: Topic, model: type[EventData] | None) -> None:
        """Register an event type; `model` is None for `erased`, whose record is a tombstone."""
        if name in self.types:
            raise ValueError(f"event type {name} is declared twice")
        self.types[name] = model
        self.topics[topic.name] = self.topic_of[name] = topic


registry = Registry()
