"""The published schemas, the AsyncAPI document and the catalogue say what the models say, and change only compatibly."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shared.contracts.asyncapi import asyncapi_document
from shared.contracts.catalogue import full_registry
from shared.contracts.compatibility import breaking_changes
from shared.contracts.generate import committed_schemas, generated_files, main, out_of_date
from shared.contracts.schemas import event_schemas

ROOT = Path(__file__).parents[2]
REGISTRY = full_registry()
SCHEMAS = event_schemas(REGISTRY)


def test_what_is_committed_is_up_to_date() -> None:
    assert out_of_date(ROOT, generated_files(REGISTRY)) == []


def test_the_models_break_nothing_that_is_committed() -> None:
    committed = committed_schemas(ROOT)
    assert committed
    assert breaking_changes(committed, SCHEMAS) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_a_valid_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi_document(REGISTRY, SCHEMAS)
    references = list(_references(document))
    assert len(references) > len(SCHEMAS)
    for reference in references:
        if reference.startswith("#/"):
            node: Any = document
            for part in reference[2:].split("/"):
                node = node[part]
        else:
            assert (ROOT / "docs/contracts" / reference).is_file()


def test_every_event_stands_in_its_channel_and_is_sent() -> None:
    document = asyncapi_document(REGISTRY, SCHEMAS)
    for name, topic in REGISTRY.topic_of.items():
        channel = document["channels"][topic.name.removeprefix("unionhall.")]
        assert channel["address"] == topic.name
        assert channel["bindings"]["kafka"]["partitions"] == 32
        assert name in channel["messages"]
    sent = [
        message["$ref"] for operation in document["operations"].values() for message in operation["messages"]
    ]
    assert len(sent) == len(SCHEMAS)


def test_check_finds_an_edited_file_and_write_mends_it(tmp_path: Path) -> None:
    root = ["--root", str(tmp_path)]
    assert main(["--check", *root]) == 1
    assert main(["--write", *root]) == 0
    assert main(["--check", *root]) == 0
    (tmp_path / "docs/events.md").write_text("edited", "utf-8")
    assert main(["--check", *root]) == 1
    assert main(["--write", *root]) == 0
    assert main(["--check", *root]) == 0


def test_write_refuses_a_breaking_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--root", str(tmp_path)]
    assert main(["--write", *root]) == 0
    published = tmp_path / "docs/contracts/unionhall.membership.member.applied.v1.json"
    schema = json.loads(published.read_text("utf-8"))
    schema["properties"]["channel"] = {"type": "string"}
    published.write_text(json.dumps(schema), "utf-8")
    before = published.read_bytes()
    assert main(["--write", *root]) == 1
    assert main(["--check", *root]) == 1
    assert "member.applied.v1.channel: the field was removed" in capsys.readouterr().err
    assert published.read_bytes() == before


def test_a_golden_record_that_changes_is_kept(tmp_path: Path) -> None:
    root = ["--root", str(tmp_path)]
    assert main(["--write", *root]) == 0
    golden = tmp_path / "tests/contract/golden/unionhall.membership.member.applied.v1.json"
    golden.write_text("{}", "utf-8")
    assert main(["--write", *root]) == 0
    assert golden.with_name(f"{golden.stem}.was-1.json").read_text("utf-8") == "{}"
    assert json.loads(golden.read_text("utf-8"))["headers"]


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [reference for item in node.values() for reference in _references(item)]
    return [reference for item in node for reference in _references(item)] if isinstance(node, list) else []
