"""Which changes are refused, each beside its allowed twin."""

from copy import deepcopy
from datetime import date
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict

from shared.contracts.compatibility import breaking_changes
from shared.contracts.envelope import EventData, Registry, Topic
from shared.contracts.schemas import Schema, event_schemas

NAME = "unionhall.test.lamp.lit.v1"
TOPIC = Topic("unionhall.test.lamps.v1")


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Holder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    holder_id: UUID
    since: date | None


class LampLit(EventData):
    lamp_id: UUID
    watts: int
    colour: Colour
    note: str | None
    holder: Holder
    former: Holder | None
    days: list[date]
    dimmed: bool = False


def schemas(*, topic: Topic = TOPIC, tombstone: bool = False) -> dict[str, Schema]:
    registry = Registry()
    registry.declare(NAME, topic, None if tombstone else LampLit)
    return deepcopy(event_schemas(registry))


def changed(change: Any) -> list[str]:
    new = schemas()
    change(new[NAME])
    return breaking_changes(schemas(), new)


def test_nothing_changed_breaks_nothing() -> None:
    assert breaking_changes(schemas(), schemas()) == []


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_removed_event_is_refused() -> None:
    assert breaking_changes(schemas(), {}) == [f"{NAME}: the event was removed"]


def test_an_event_moved_to_another_topic_is_refused() -> None:
    found = breaking_changes(schemas(), schemas(topic=Topic("unionhall.test.others.v1")))
    assert found == [f"{NAME}: the topic changed from unionhall.test.lamps.v1 to unionhall.test.others.v1"]


def test_another_number_of_partitions_is_refused() -> None:
    found = breaking_changes(schemas(), schemas(topic=Topic(TOPIC.name, partitions=64)))
    assert found == [f"{NAME}: the number of partitions changed from 32 to 64"]


def test_an_event_that_loses_its_data_is_refused() -> None:
    assert len(breaking_changes(schemas(), schemas(tombstone=True))) == 1


def test_a_removed_field_is_refused() -> None:
    def change(schema: Schema) -> None:
        del schema["properties"]["watts"]
        schema["required"].remove("watts")

    assert changed(change) == [f"{NAME}.watts: the field was removed or renamed"]


def test_a_renamed_field_is_refused() -> None:
    def change(schema: Schema) -> None:
        schema["properties"]["power"] = schema["properties"].pop("watts")
        schema["required"] = ["power" if name == "watts" else name for name in schema["required"]]

    assert changed(change) == [
        f"{NAME}.watts: the field was removed or renamed",
        f"{NAME}.power: a new field must be optional, old records lack it",
    ]


def test_a_field_renamed_deep_inside_is_refused() -> None:
    def change(schema: Schema) -> None:
        holder = schema["$defs"]["Holder"]
        holder["properties"]["from"] = holder["properties"].pop("since")
        holder["required"].remove("since")

    assert changed(change) == [
        f"{NAME}.holder.since: the field was removed or renamed",
        f"{NAME}.former.since: the field was removed or renamed",
    ]


def test_a_new_required_field_is_refused() -> None:
    def change(schema: Schema) -> None:
        schema["properties"]["age"] = {"type": "integer"}
        schema["required"].append("age")

    assert changed(change) == [f"{NAME}.age: a new field must be optional, old records lack it"]


def test_an_optional_field_that_becomes_required_is_refused() -> None:
    assert changed(lambda schema: schema["required"].append("dimmed")) == [
        f"{NAME}.dimmed: became required, old records may lack it"
    ]


def test_a_required_field_that_becomes_optional_is_refused() -> None:
    assert changed(lambda schema: schema["required"].remove("watts")) == [
        f"{NAME}.watts: became optional, earlier readers rely on it"
    ]


@pytest.mark.parametrize(
    "narrowed",
    [
        {"type": "string"},
        {"type": "number"},
        {"type": "integer", "minimum": 1},
        {"type": "integer", "maximum": 100},
        {"enum": [40, 60], "type": "integer"},
    ],
)
def test_another_type_or_range_is_refused(narrowed: Schema) -> None:
    found = changed(lambda schema: schema["properties"].update(watts=narrowed))
    assert len(found) == 1
    assert found[0].startswith(f"{NAME}.watts: changed from ")


def test_another_format_is_refused() -> None:
    found = changed(lambda schema: schema["properties"]["lamp_id"].update(format="uri"))
    assert found[0].startswith(f"{NAME}.lamp_id: changed from ")


def test_an_element_of_another_type_is_refused() -> None:
    found = changed(lambda schema: schema["properties"]["days"].update(items={"type": "string"}))
    assert found[0].startswith(f"{NAME}.days[]: changed from ")


def test_null_no_longer_allowed_is_refused() -> None:
    assert changed(lambda schema: schema["properties"].update(note={"type": "string"})) == [
        f"{NAME}.note: null is no longer allowed"
    ]


def test_null_now_allowed_is_refused() -> None:
    def change(schema: Schema) -> None:
        schema["properties"]["watts"] = {"anyOf": [{"type": "integer"}, {"type": "null"}]}

    assert changed(change) == [f"{NAME}.watts: null is now allowed"]


def test_a_removed_value_is_refused() -> None:
    assert changed(lambda schema: schema["$defs"]["Colour"]["enum"].remove("green")) == [
        f"{NAME}.colour: value 'green' was removed"
    ]


def test_a_new_value_is_refused() -> None:
    assert changed(lambda schema: schema["$defs"]["Colour"]["enum"].append("blue")) == [
        f"{NAME}.colour: value 'blue' is new, earlier readers do not know it"
    ]


# --- allowed ---------------------------------------------------------------------------------------------------------


def test_a_new_event_is_allowed() -> None:
    new = schemas()
    new["unionhall.test.lamp.put-out.v1"] = new[NAME]
    assert breaking_changes(schemas(), new) == []


def test_a_new_optional_field_is_allowed() -> None:
    assert changed(lambda schema: schema["properties"].update(age={"type": "integer", "default": 0})) == []


def test_a_new_optional_field_deep_inside_is_allowed() -> None:
    def change(schema: Schema) -> None:
        schema["$defs"]["Holder"]["properties"]["role"] = {"type": "string", "default": ""}

    assert changed(change) == []


def test_other_words_and_other_class_names_are_allowed() -> None:
    def change(schema: Schema) -> None:
        schema["description"] = schema["title"] = "Something else"
        schema["properties"]["watts"]["description"] = "at 230 V"
        schema["$defs"]["Bearer"] = schema["$defs"].pop("Holder") | {"title": "Bearer"}
        schema["properties"]["holder"] = {"$ref": "#/$defs/Bearer"}
        schema["properties"]["former"]["anyOf"][0] = {"$ref": "#/$defs/Bearer"}

    assert changed(change) == []


def test_a_field_with_a_default_is_optional_for_readers_and_the_schema_is_open() -> None:
    schema = schemas()[NAME]
    assert "dimmed" not in schema["required"]
    assert "additionalProperties" not in str(schema)
