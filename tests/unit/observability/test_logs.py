"""Logs are JSON, one object a line, and hold no personal data whatever is thrown into them."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from shared.observability import logs
from shared.observability.metrics import REGISTRY

DOCUMENT, OLD_DOCUMENT, CARD, PHONE, NAME = (
    "11010119900307441X",
    "110101900307441",
    "6222020000000000000",
    "13900001234",
    "张三丰",
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Everything that is logged, and the logging of pytest put back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    before = (root.handlers[:], root.level)
    # Tests that serve an application in this process silence uvicorn.
    served = logging.getLogger("uvicorn.error")
    silenced = served.level
    served.setLevel(logging.NOTSET)
    logs.configure_logs("membership", "DEBUG", stream)
    yield stream
    served.setLevel(silenced)
    root.handlers[:], level = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)


log = logging.getLogger("unionhall.test")


def line_of(stream: io.StringIO) -> dict[str, Any]:
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    line: dict[str, Any] = json.loads(lines[0])
    return line


def redactions() -> float:
    return sum(
        REGISTRY.get_sample_value("unionhall_log_redactions_total", {"kind": kind}) or 0
        for kind in ("document", "phone", "text")
    )


def test_a_line_says_when_who_and_what(stream: io.StringIO) -> None:
    roster = UUID("01958f00-0000-7000-8000-139000012345")
    token = logs.request_id.set("request-7")
    try:
        log.info(
            "roster applied", extra={"roster": roster, "rows": 20000, "share": 0.5, "codes": ["a", None]}
        )
    finally:
        logs.request_id.reset(token)
    line = line_of(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "service": "membership",
        "logger": "unionhall.test",
        "message": "roster applied",
        "request_id": "request-7",
        "roster": str(roster),
        "rows": 20000,
        "share": 0.5,
        "codes": ["a", None],
    }


@pytest.mark.parametrize(
    "secret",
    [
        DOCUMENT,
        DOCUMENT.lower(),
        OLD_DOCUMENT,
        CARD,
        PHONE,
        NAME,
        "139 0000 1234",
        "139-0000-1234",
        "+8613900001234",
        f"号码{DOCUMENT}，",
        f"tel{PHONE}x",
        f"id={DOCUMENT}&x",
        "\U00020000\U00020001",
    ],
)
def test_personal_data_is_blotted_out_wherever_it_stands(stream: io.StringIO, secret: str) -> None:
    before = redactions()
    log.info("seen %s", secret, extra={"value": secret, "nested": {"list": [secret], secret: 1}})
    text = stream.getvalue()
    for part in (DOCUMENT, DOCUMENT.lower(), OLD_DOCUMENT, CARD, PHONE, "0000", NAME, "\U00020000"):
        assert part not in text
        assert part not in json.dumps(line_of(stream), ensure_ascii=False)
    assert redactions() >= before + 4


def test_a_number_is_blotted_out_and_the_line_stays_json(stream: io.StringIO) -> None:
    log.info("row", extra={"cell": 110101199003074410, "phone": 13900001234, "row": 17})
    line = line_of(stream)
    assert (line["cell"], line["phone"], line["row"]) == (logs.BLOT, logs.BLOT, 17)


@pytest.mark.parametrize(
    "harmless",
    [
        "01958f00-0000-7000-8000-139000012345",  # digits of a UUID
        "0af7651916cd43dd8448eb211c80319c",
        "110101199003074410aaaaaaaaaaaaaa",  # a trace id may look like anything
        "0000000000000000007",  # a padded sequence
        "2026-03-02T01:30:00.123456+00:00",
        "1772415000123",  # milliseconds
        "127.0.0.1:29092",
        "12345678901234",
    ],
)
def test_ids_times_and_counters_stay(stream: io.StringIO, harmless: str) -> None:
    before = redactions()
    log.info("seen", extra={"value": harmless})
    assert line_of(stream)["value"] == harmless
    assert redactions() == before


class Person(BaseModel):
    age: int


def _validation() -> None:
    Person.model_validate({"age": NAME + PHONE})


def _quoting() -> None:
    int(f"Zhang {PHONE}")


def _driver() -> None:
    raise RuntimeError(
        f'duplicate key value violates unique constraint "uq_members_phone"\nDETAIL: Key (name)=(Zhang San {NAME}).'
        f"\n[parameters: ('{DOCUMENT}',)]"
    )


def _one_line_parameters() -> None:
    raise RuntimeError("could not do it [parameters: ('Zhang San',)]")


def _caused() -> None:
    try:
        _quoting()
    except ValueError as wrong:
        raise LookupError("row 3 cannot be read") from wrong


@pytest.mark.parametrize("fault", [_validation, _quoting, _driver, _one_line_parameters, _caused])
def test_an_error_is_told_without_the_values_it_quotes(stream: io.StringIO, fault: Any) -> None:
    try:
        fault()
    except (ValidationError, ValueError, RuntimeError, LookupError):
        log.exception("failed")
    text = stream.getvalue()
    for secret in (NAME, PHONE, DOCUMENT, "Zhang"):
        assert secret not in text
    error = line_of(stream)["error"]
    assert error["type"]
    assert f" {fault.__name__}" in error["frames"][1]


def test_what_an_error_says_of_itself_is_kept(stream: io.StringIO) -> None:
    try:
        _driver()
    except RuntimeError:
        log.exception("failed")
    assert line_of(stream)["error"]["message"] == (
        'duplicate key value violates unique constraint "uq_members_phone"'
    )


def test_a_cause_is_told(stream: io.StringIO) -> None:
    try:
        _caused()
    except LookupError:
        log.exception("failed")
    error = line_of(stream)["error"]
    assert error["message"] == "row 3 cannot be read"
    assert error["cause"]["type"] == "builtins.ValueError"


def test_uvicorn_writes_as_json_and_tells_no_raw_path(stream: io.StringIO) -> None:
    logging.getLogger("uvicorn.access").info('127.0.0.1 - "GET /members?name=Zhang HTTP/1.1" 200')
    assert stream.getvalue() == ""
    logging.getLogger("uvicorn.error").info("Started server process")
    assert line_of(stream)["message"] == "Started server process"


def test_a_forged_line_stays_inside_its_string(stream: io.StringIO) -> None:
    log.info('x\n{"level": "info", "message": "forged"}')
    assert line_of(stream)["message"].startswith("x\n")
