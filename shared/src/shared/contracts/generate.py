"""`python -m shared.contracts.generate --check|--write`: the published form of all events, made from the models.

Writes `docs/contracts/<type>.json` (JSON Schema), `docs/contracts/asyncapi.json`, `docs/events.md` and the golden records
`tests/contract/golden/<type>.json`. `--write` refuses a breaking change; a golden record that changes is kept beside the new
one as `<type>.was-<n>.json`, because such records lie in topics for ever and must stay readable. `--check` changes nothing and
ends with 1 if anything is out of date or breaking.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.contracts.asyncapi import asyncapi_document
from shared.contracts.catalogue import full_registry
from shared.contracts.compatibility import breaking_changes
from shared.contracts.documentation import events_page
from shared.contracts.envelope import Registry
from shared.contracts.golden import golden_events, golden_record
from shared.contracts.schemas import Schema, event_schemas

SCHEMAS: Final = Path("docs/contracts")
ASYNCAPI: Final = SCHEMAS / "asyncapi.json"
PAGE: Final = Path("docs/events.md")
GOLDEN: Final = Path("tests/contract/golden")


def as_text(document: Mapping[str, Any]) -> str:
    """JSON as it is committed: indented, Chinese readable, one newline at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def generated_files(registry: Registry) -> dict[Path, str]:
    """Every generated file by its path from the root of the repository."""
    schemas = event_schemas(registry)
    golden = {name: golden_record(event) for name, event in golden_events(registry).items()}
    files = {SCHEMAS / f"{name}.json": as_text(schema) for name, schema in schemas.items()}
    files |= {GOLDEN / f"{name}.json": as_text(record) for name, record in golden.items()}
    files[ASYNCAPI] = as_text(asyncapi_document(registry, schemas))
    files[PAGE] = events_page(registry, schemas, golden)
    return files


def committed_schemas(root: Path) -> dict[str, Schema]:
    """The event schemas that lie in `docs/contracts`, by type."""
    return {
        path.stem: json.loads(path.read_text("utf-8"))
        for path in sorted((root / SCHEMAS).glob("*.json"))
        if path.name != ASYNCAPI.name
    }


def out_of_date(root: Path, files: Mapping[Path, str]) -> list[Path]:
    """The generated files that are missing or differ."""
    return [
        path
        for path, text in files.items()
        if not (root / path).exists() or (root / path).read_text("utf-8") != text
    ]


def write(root: Path, files: Mapping[Path, str]) -> None:
    """Write what is out of date; a changed golden record is kept under another name."""
    for path in out_of_date(root, files):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.parent == GOLDEN and target.exists():
            kept = len(list(target.parent.glob(f"{path.stem}.was-*.json")))
            target.rename(target.with_name(f"{path.stem}.was-{kept + 1}.json"))
        target.write_text(files[path], "utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; the exit code is 0 when all is in order."""
    parser = argparse.ArgumentParser(prog="python -m shared.contracts.generate", description=__doc__)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="change nothing, say what is out of date")
    mode.add_argument("--write", action="store_true", help="write what is out of date")
    parser.add_argument("--root", type=Path, default=Path(), help="root of the repository")
    options = parser.parse_args(arguments)
    registry = full_registry()
    broken = breaking_changes(committed_schemas(options.root), event_schemas(registry))
    if broken:
        sys.stderr.write("".join(f"breaking: {change}\n" for change in broken))
        sys.stderr.write("A breaking change needs a new version of the event type beside the old one.\n")
        return 1
    files = generated_files(registry)
    if options.write:
        write(options.root, files)
        return 0
    stale = out_of_date(options.root, files)
    sys.stderr.write("".join(f"out of date: {path}\n" for path in stale))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
