"""One OpenAPI 3.1 document of all services: the owners' documents merged into the gateway's own."""

import asyncio
import logging
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout

_log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 30
_TIMEOUT: Final = ClientTimeout(total=5)
_SECTIONS: Final = ("schemas", "securitySchemes", "parameters", "responses", "requestBodies", "headers")
_METHODS: Final = frozenset({"get", "put", "post", "delete", "patch", "head", "options"})


def merge(own: Mapping[str, Any], owners: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`own` with the public paths and components of `owners` (name → document) added.

    The gateway's own paths win. A component that means something else in two services gets the owner's name in front, so
    does every operation id: both stay unique.
    """
    merged = deepcopy(dict(own))
    paths = merged["paths"] = {
        path: item for path, item in merged.get("paths", {}).items() if _is_public(path)
    }
    components = merged.setdefault("components", {})
    for name in sorted(owners):
        document = _renamed(owners[name], components, name)
        for path, item in document.get("paths", {}).items():
            if not _is_public(path):
                continue
            for method, operation in item.items():
                if method in _METHODS and "operationId" in operation:
                    operation["operationId"] = f"{name}_{operation['operationId']}"
            paths[path] = item | paths.get(path, {})
        for section in _SECTIONS:
            found = document.get("components", {}).get(section, {})
            if found:
                components[section] = found | components.get(section, {})
    return merged


def _is_public(path: str) -> bool:
    return path.startswith("/api/")


def _renamed(document: Mapping[str, Any], known: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """`document` with those components renamed that clash with a different one in `known`."""
    new_names = {
        f"#/components/{section}/{name}": f"#/components/{section}/{owner}_{name}"
        for section in _SECTIONS
        for name, component in document.get("components", {}).get(section, {}).items()
        if known.get(section, {}).get(name, component) != component
    }
    renamed: dict[str, Any] = _replace_references(document, new_names)
    for reference in new_names:
        _, _, section, name = reference.split("/")
        found = renamed["components"][section]
        found[f"{owner}_{name}"] = found.pop(name)
    return renamed


def _replace_references(node: Any, new_names: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {
            key: new_names.get(value, value)
            if key == "$ref" and isinstance(value, str)
            else _replace_references(value, new_names)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_replace_references(item, new_names) for item in node]
    return node


class OwnersDocuments:
    """Keeps the newest document that each owner gave; one that is down keeps its last."""

    def __init__(self, client: ClientSession, owners: Mapping[str, str]) -> None:
        """`owners`: name → base URL."""
        self._client = client
        self._owners = owners
        self.documents: dict[str, dict[str, Any]] = {}

    async def keep_fresh(self) -> None:
        """Read all documents again and again; runs as a task of the process until it is cancelled."""
        while True:
            await asyncio.gather(*(self._read(name, url) for name, url in self._owners.items()))
            missing = len(self.documents) < len(self._owners)
            await asyncio.sleep(2 if missing else REFRESH_SECONDS)

    async def _read(self, name: str, url: str) -> None:
        try:
            async with self._client.get(
                f"{url}/openapi.json", timeout=_TIMEOUT, allow_redirects=False, raise_for_status=True
            ) as answer:
                self.documents[name] = orjson.loads(await answer.read())
        except (ClientError, TimeoutError, orjson.JSONDecodeError) as wrong:
            _log.warning("no API document from owner", extra={"owner": name, "cause": type(wrong).__name__})
