"""Logs: one JSON object a line on stdout, with ids and codes, never with personal data.

Say what happened in a constant English message and put ids into `extra`: `log.info("roster applied", extra={"roster": id})`.
A guard stands behind that rule: whatever looks like a resident ID, a bank card or a mobile number, and any Chinese text
(messages of ours are English, so it is somebody's name or a cell of a sheet), is blotted out and counted. Errors are logged
with type, first line and frames: drivers and validators quote the offending values in the lines after the first.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO
from uuid import UUID

import orjson
from opentelemetry import trace

from shared.observability.metrics import LOG_REDACTIONS

#: The request being served, for every line it causes; set by the web layer.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

BLOT: Final = "[redacted]"
_GUARD: Final = re.compile(
    # Kept as they are: UUIDs, trace ids and hashes, whose digits mean nobody.
    r"(?P<id>\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b(?:[0-9a-f]{32}|[0-9a-f]{64})\b)"
    # 15 to 19 digits: resident ID of either length, bank card. A leading 0 is a padded sequence.
    r"|(?P<document>(?<!\d)[1-9]\d{16}[Xx](?![0-9A-Za-z])|(?<!\d)[1-9]\d{14,18}(?!\d))"
    r"|(?P<phone>(?<!\d)(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d))"
    r"|(?P<text>[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
#: Nearly every text is cleared by this at a tenth of the cost: the guard wants eleven digits or a character beyond ASCII.
_SUSPICIOUS: Final = re.compile(r"[^\x00-\x7f]|\d(?:[ -]?\d){10}")
#: What is quoted in an error is a value, unless it is written as our identifiers are.
_QUOTED: Final = re.compile(r"'(?![a-z_][a-z0-9_.\-]{0,63}')[^']*'|\[parameters: .*")
_FRAMES: Final = 12
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}


def redact(text: str) -> str:
    """`text` without what the guard takes for personal data; each hit is counted."""
    return _GUARD.sub(_blot, text) if _SUSPICIOUS.search(text) else text


def _blot(hit: re.Match[str]) -> str:
    kind = hit.lastgroup or ""
    if kind == "id":
        return hit[0]
    LOG_REDACTIONS.labels(kind).inc()
    return BLOT


def clean(value: Any) -> Any:
    """A value as it may stand in a log line: JSON types, redacted."""
    match value:
        case None | bool() | UUID():
            return value
        case int() | float():
            text = redact(str(value))
            return text if text == BLOT else value
        case datetime():
            return value.astimezone(UTC)
        case Mapping():
            return {redact(str(key)): clean(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [clean(item) for item in value]
        case _:
            return redact(str(value))


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON."""

    def __init__(self, service: str) -> None:
        """`service` stands in every line."""
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, service, logger, message, request and trace ids, the extras, and what was raised."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if request := request_id.get():
            line["request_id"] = redact(request)
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = trace.format_trace_id(context.trace_id)
        line |= {name: clean(value) for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[1]:
            line["error"] = describe_error(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def safe_message(error: BaseException) -> str:
    """The first line of what an error says, without the values it quotes."""
    return redact(_QUOTED.sub("'…'", next(iter(str(error).splitlines()), "")))


def describe_error(error: BaseException) -> dict[str, Any]:
    """Type, first line without quoted values, the innermost frames, and the same of what caused it."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    described: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": safe_message(error),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        described["cause"] = describe_error(cause)
    return described


def configure_logs(service: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (stdout) as JSON, uvicorn's too; its access log is replaced by ours."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Its lines hold raw paths with query strings; `shared.observability.http` writes one with the route's template.
    logging.getLogger("uvicorn.access").disabled = True
    # These tell every request and fetch at INFO, with URLs.
    for name in ("httpx", "httpcore", "aiokafka", "kafka", "opentelemetry"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
