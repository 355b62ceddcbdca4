"""What is on the wire is pinned from both sides: the producer writes exactly these records, consumers read them for ever."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest

from shared.contracts.catalogue import full_registry
from shared.contracts.envelope import SEQUENCE_DIGITS, UnreadableEvent, event_headers, read_record
from shared.contracts.golden import golden_events, golden_record
from shared.contracts.schemas import event_schemas

FOLDER = Path(__file__).parent / "golden"
REGISTRY = full_registry()
EVENTS = golden_events(REGISTRY)
SCHEMAS = event_schemas(REGISTRY)
ALL_FILES = sorted(FOLDER.glob("*.json"))


def load(path: Path) -> tuple[dict[str, Any], list[tuple[str, bytes]], bytes | None]:
    """The record of a golden file as Kafka would hand it over: as read, headers, value."""
    record = json.loads(path.read_text("utf-8"))
    headers = [(name, text.encode()) for name, text in record["headers"].items()]
    value = None if record["value"] is None else json.dumps(record["value"]).encode()
    return record, headers, value


def test_every_event_type_has_one_golden_file() -> None:
    assert {path.stem for path in ALL_FILES if ".was-" not in path.name} == REGISTRY.types.keys()


@pytest.mark.parametrize("name", EVENTS)
def test_the_producer_writes_exactly_the_golden_record(name: str) -> None:
    assert golden_record(EVENTS[name]) == json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: path.stem)
def test_a_consumer_reads_every_record_ever_pinned(path: Path) -> None:
    record, headers, value = load(path)
    received = read_record(record["topic"], 3, 41, headers, value)
    model = REGISTRY.types[received.type]
    assert received.subject == UUID(record["key"])
    assert received.sequence == 7
    assert received.data == record["value"]
    if model is None:
        assert received.data is None
    else:
        jsonschema.validate(
            received.data,
            SCHEMAS[received.type],
            format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
        )
        model.model_validate_json(json.dumps(received.data))


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: path.stem)
def test_a_consumer_ignores_what_it_does_not_know(path: Path) -> None:
    record, headers, _ = load(path)
    if record["value"] is None:
        return
    newer = record["value"] | {"added_later": 1}
    received = read_record(record["topic"], 0, 0, [*headers, ("ce_new", b"x")], json.dumps(newer).encode())
    assert received.data == newer
    jsonschema.validate(newer, SCHEMAS[received.type])


def test_only_an_erased_event_has_no_value() -> None:
    tombstones = {name for name, event in EVENTS.items() if event.value() is None}
    assert tombstones == {name for name in EVENTS if name.endswith(".erased.v1")}
    assert tombstones


def test_the_sequence_sorts_as_text() -> None:
    for event in EVENTS.values():
        sequence = dict(event_headers(event))["ce_sequence"]
        assert len(sequence) == SEQUENCE_DIGITS
    assert b"7".zfill(SEQUENCE_DIGITS) < b"10".zfill(SEQUENCE_DIGITS)


@pytest.mark.parametrize("missing", ["ce_id", "ce_type", "ce_source", "ce_subject", "ce_sequence", "ce_time"])
def test_a_record_without_a_header_is_unreadable(missing: str) -> None:
    record, headers, value = load(ALL_FILES[0])
    with pytest.raises(UnreadableEvent, match=missing):
        read_record(record["topic"], 0, 0, [pair for pair in headers if pair[0] != missing], value)


@pytest.mark.parametrize("value", [b"{", b"[]", b"7", b"\xff"])
def test_a_record_whose_value_is_no_object_is_unreadable(value: bytes) -> None:
    record, headers, _ = load(ALL_FILES[0])
    with pytest.raises(UnreadableEvent):
        read_record(record["topic"], 0, 0, headers, value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("ce_sequence", b"seven"), ("ce_id", b"7"), ("ce_time", b"yesterday"), ("ce_type", b"\xff")],
)
def test_a_record_with_a_malformed_header_is_unreadable(name: str, content: bytes) -> None:
    record, headers, value = load(ALL_FILES[0])
    wrong = [(key, content if key == name else old) for key, old in headers]
    with pytest.raises(UnreadableEvent):
        read_record(record["topic"], 0, 0, wrong, value)


def test_no_event_has_room_for_personal_data() -> None:
    words = (
        "phone",
        "document",
        "identity",
        "bank",
        "card",
        "income",
        "illness",
        "birth_date",
        "address",
        "remark",
    )
    fields = {name for schema in SCHEMAS.values() for name in _field_names(schema)}
    assert fields >= {"birth_year", "status"}
    assert not [name for name in fields if any(word in name for word in words)]
    person = REGISTRY.types["unionhall.membership.member.admitted.v1"]
    assert person is not None
    assert "name" not in set(_field_names(person.model_json_schema()))


def _field_names(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [*node.get("properties", {}), *(name for item in node.values() for name in _field_names(item))]
    return [name for item in node for name in _field_names(item)] if isinstance(node, list) else []
