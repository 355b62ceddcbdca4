"""Which changes of a published event break somebody. A breaking change needs a new version of the type (`.v2`).

Both directions count. A consumer that was written earlier reads new records; a consumer that is written later reads old ones,
because topics are compacted and keep the newest record of every key for ever. So a field that exists keeps its type exactly,
and a new one is optional. New events, new optional fields and new descriptions break nobody.
"""

import json
from typing import Any, Final

from shared.contracts.schemas import Schema, non_null, resolved

#: Words about a field that no program depends on.
_ANNOTATIONS: Final = frozenset(
    {"title", "description", "examples", "default", "$defs", "$schema", "$id", "x-topic", "x-partitions"}
)


def breaking_changes(old: dict[str, Schema], new: dict[str, Schema]) -> list[str]:
    """What of `new` breaks a reader or a record of `old` (schemas by event type); empty when nothing does."""
    found: list[str] = []
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            found.append(f"{name}: the event was removed")
            continue
        for key, meaning in (("x-topic", "topic"), ("x-partitions", "number of partitions")):
            if before.get(key) != after.get(key):
                found.append(f"{name}: the {meaning} changed from {before.get(key)} to {after.get(key)}")
        found += _compare(name, (before, before), (after, after))
    return found


def _compare(path: str, before: tuple[Schema, Schema], after: tuple[Schema, Schema]) -> list[str]:
    """Compare two schemas, each given with the root that its references name."""
    (old, old_null), (new, new_null) = non_null(*before), non_null(*after)
    old_root, new_root = before[1], after[1]
    if old_null != new_null:
        return [f"{path}: null is {'now' if new_null else 'no longer'} allowed"]
    if "properties" in old and "properties" in new:
        return _compare_fields(path, (old, old_root), (new, new_root))
    if "items" in old and "items" in new:
        return _compare(f"{path}[]", (old["items"], old_root), (new["items"], new_root))
    if "enum" in old and "enum" in new and old.get("type") == new.get("type"):
        gone, added = sorted(set(old["enum"]) - set(new["enum"])), sorted(set(new["enum"]) - set(old["enum"]))
        return [f"{path}: value {value!r} was removed" for value in gone] + [
            f"{path}: value {value!r} is new, earlier readers do not know it" for value in added
        ]
    was, now = _shape(old, old_root), _shape(new, new_root)
    return [] if was == now else [f"{path}: changed from {was} to {now}"]


def _compare_fields(path: str, before: tuple[Schema, Schema], after: tuple[Schema, Schema]) -> list[str]:
    old, new = before[0], after[0]
    old_required, new_required = set(old.get("required", ())), set(new.get("required", ()))
    found: list[str] = []
    for name, field in old["properties"].items():
        where = f"{path}.{name}"
        if name not in new["properties"]:
            found.append(f"{where}: the field was removed or renamed")
            continue
        if name in new_required - old_required:
            found.append(f"{where}: became required, old records may lack it")
        if name in old_required - new_required:
            found.append(f"{where}: became optional, earlier readers rely on it")
        found += _compare(where, (field, before[1]), (new["properties"][name], after[1]))
    found += [
        f"{path}.{name}: a new field must be optional, old records lack it"
        for name in new["properties"]
        if name not in old["properties"] and name in new_required
    ]
    return found


def _shape(schema: Schema, root: Schema) -> str:
    """What a value must look like, as canonical JSON with references resolved and annotations left out."""

    def strip(node: Any) -> Any:
        if isinstance(node, list):
            return sorted((strip(item) for item in node), key=lambda item: json.dumps(item, sort_keys=True))
        if not isinstance(node, dict):
            return node
        return {key: strip(value) for key, value in resolved(node, root).items() if key not in _ANNOTATIONS}

    return json.dumps(strip(schema), sort_keys=True)
