"""What pydantic found wrong, as field problems with texts of our own: never with the value, never in its English alone."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.kernel.errors import FieldProblem
from shared.kernel.texts import has_text

#: An unknown field's name is the client's text; only what looks like a name of ours is shown.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_MAX_PROBLEMS: Final = 100
#: Codes of pydantic to codes of ours; the second item names the parameter of the text and where pydantic keeps it.
_CODES: Final[dict[str, tuple[str, str | None]]] = {
    "missing": ("field-missing", None),
    "extra_forbidden": ("field-unknown", None),
    "string_too_short": ("field-too-short", "min_length"),
    "string_too_long": ("field-too-long", "max_length"),
    "too_short": ("field-too-few", "min_length"),
    "too_long": ("field-too-many", "max_length"),
    "greater_than": ("field-must-exceed", "gt"),
    "greater_than_equal": ("field-too-small", "ge"),
    "less_than": ("field-must-stay-below", "lt"),
    "less_than_equal": ("field-too-large", "le"),
    "string_pattern_mismatch": ("field-malformed", None),
    "enum": ("field-not-listed", "expected"),
    "literal_error": ("field-not-listed", "expected"),
    "finite_number": ("field-not-number", None),
}
_KINDS: Final = (
    ("int", "field-not-integer"),
    ("float", "field-not-number"),
    ("decimal", "field-not-number"),
    ("bool", "field-not-boolean"),
    ("uuid", "field-not-id"),
    ("datetime", "field-not-time"),
    ("timezone", "field-not-time"),
    ("date", "field-not-date"),
    ("time", "field-not-time"),
    ("string", "field-not-text"),
    ("list", "field-not-list"),
    ("tuple", "field-not-list"),
    ("set", "field-not-list"),
    ("dict", "field-not-object"),
    ("model", "field-not-object"),
)


def problems_of(errors: Iterable[Mapping[str, Any]]) -> tuple[FieldProblem, ...]:
    """The field problems for errors of pydantic, at most 100."""
    found = [_problem(error) for error in errors]
    return tuple(found[:_MAX_PROBLEMS])


def _problem(error: Mapping[str, Any]) -> FieldProblem:
    path = "/".join(_step(step) for step in error["loc"])
    kind: str = error["type"]
    context: Mapping[str, Any] = error.get("ctx") or {}
    if kind in _CODES:
        code, parameter = _CODES[kind]
        return FieldProblem(path, code, {"limit": str(context[parameter])} if parameter else {})
    if kind not in _CODES and "-" in kind and has_text(kind):
        # A validator of ours: PydanticCustomError("credit-code-invalid", ...), its context being the text's parameters.
        return FieldProblem(path, kind, {name: str(value) for name, value in context.items()})
    for prefix, code in _KINDS:
        if kind.startswith(prefix):
            return FieldProblem(path, code)
    return FieldProblem(path, "field-malformed")


def _step(step: Any) -> str:
    if isinstance(step, int):
        return str(step)
    return step if isinstance(step, str) and _NAME.fullmatch(step) else "…"
