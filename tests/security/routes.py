"""What the OpenAPI documents say: the routes of every service, and the bodies that they take."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi


def routes_of(app: FastAPI) -> dict[str, dict[str, Any]]:
    """The operations of a service by "METHOD path", its own alone: what the gateway passes on is its owner's."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    return {
        f"{method.upper()} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if not path.startswith("/health")
    }


def takes(operation: dict[str, Any], header: str) -> bool:
    """Whether the operation has this header among its parameters."""
    return any(
        parameter["in"] == "header" and parameter["name"].lower() == header
        for parameter in operation.get("parameters", ())
    )


def body_schema(app: FastAPI, operation: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of the JSON body of an operation, with its references resolved at the top; None without a body."""
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return None
    return resolved(app, content["application/json"]["schema"])


def resolved(app: FastAPI, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference; of a field that may be null, what else it may be."""
    while True:
        if "$ref" in schema:
            schema = app.openapi()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif (
            "anyOf" in schema
            and len(rest := [one for one in schema["anyOf"] if one.get("type") != "null"]) == 1
        ):
            schema = rest[0]
        else:
            return schema


def objects_in(
    app: FastAPI, schema: dict[str, Any], at: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Every object with named properties in a body, and where it stands: () the body itself, ("rows", 0) the first row."""
    schema = resolved(app, schema)
    if schema.get("type") == "array":
        yield from objects_in(app, schema["items"], (*at, 0))
    if "properties" in schema:
        yield at, schema
        for name, inner in schema["properties"].items():
            yield from objects_in(app, inner, (*at, name))
