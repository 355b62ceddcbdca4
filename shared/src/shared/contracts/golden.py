"""One example record of every event type: shown in the catalogue of events and pinned by the golden files.

Everything in it is made up (`examples`). The files in `tests/contract/golden` are what is on the wire; they are read by the
contract tests, which also build each of them anew and compare byte for byte.
"""

from typing import Any, Final
from uuid import UUID

import orjson

from shared.contracts.envelope import Event, EventData, Registry, Topic, event_headers
from shared.contracts.examples import events_service, membership, welfare
from shared.contracts.examples.people_and_units import TIME

Record = dict[str, Any]

_OWNERS: Final = (membership, welfare, events_service)
_TRACEPARENT: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def golden_events(registry: Registry) -> dict[str, Event]:
    """An event of every registered type. Raises LookupError for a type without an example."""
    by_type: dict[str, EventData | None] = {data.type: data for owner in _OWNERS for data in owner.EXAMPLES}
    by_type |= {name: None for name, model in registry.types.items() if model is None}
    missing = registry.types.keys() - by_type.keys()
    if missing:
        raise LookupError(f"no example in contracts/examples for {', '.join(sorted(missing))}")
    subjects: dict[Topic, UUID] = {}
    for owner in _OWNERS:
        subjects |= owner.SUBJECTS
    return {
        name: Event(
            id=UUID("01958f1d-5e7b-7c3a-9f00-000000000001"),
            subject=subjects[topic],
            sequence=7,
            time=TIME,
            source=topic.source,
            type=name,
            topic=topic,
            data=by_type[name],
            traceparent=_TRACEPARENT,
        )
        for name, topic in registry.topic_of.items()
    }


def golden_record(event: Event) -> Record:
    """The Kafka record of an event as readable JSON: topic, key, headers as text, value as JSON (null for a tombstone)."""
    value = event.value()
    return {
        "topic": event.topic.name,
        "key": str(event.subject),
        "headers": {name: content.decode() for name, content in event_headers(event)},
        "value": None if value is None else orjson.loads(value),
    }
