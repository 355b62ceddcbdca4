"""One trace from the request through outbox and Kafka to the consumer; requests are measured by route template."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.util._once import Once

from shared.contracts.catalogue import full_registry
from shared.contracts.envelope import Received, event_headers, read_record
from shared.contracts.golden import golden_events
from shared.observability import logs
from shared.observability.http import NO_TELEMETRY_OF_FASTAPI, Observed
from shared.observability.metrics import REGISTRY, exposition
from shared.observability.tracing import (
    batch_span,
    configure_tracing,
    consumer_span,
    current_traceparent,
    server_span,
)

EVENT = replace(golden_events(full_registry())["unionhall.membership.member.admitted.v1"], traceparent=None)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans that ended; the process's tracer put back afterwards."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    exporter = InMemorySpanExporter()
    provider = configure_tracing("membership", None, SimpleSpanProcessor(exporter))
    yield exporter
    provider.shutdown()


def carried(traceparent: str | None) -> Received:
    """The event as a consumer gets it, its `traceparent` having gone through outbox row and Kafka headers."""
    event = replace(EVENT, traceparent=traceparent)
    return read_record(event.topic.name, 3, 41, event_headers(event), event.value())


def ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)


def test_one_trace_leads_from_the_request_to_the_consumer(exported: InMemorySpanExporter) -> None:
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with server_span("POST", caller):
        stored = current_traceparent()
    with consumer_span("gateway.timeline", carried(stored)):
        pass
    request, effect = exported.get_finished_spans()
    assert ids(request)[0] == ids(effect)[0] == "0af7651916cd43dd8448eb211c80319c"
    assert request.parent is not None
    assert trace.format_span_id(request.parent.span_id) == "b7ad6b7169203331"
    assert effect.parent is not None
    assert trace.format_span_id(effect.parent.span_id) == ids(request)[1]
    assert (request.kind, effect.kind) == (SpanKind.SERVER, SpanKind.CONSUMER)
    assert stored == f"00-{ids(request)[0]}-{ids(request)[1]}-01"


def test_a_batch_of_one_request_belongs_to_its_trace(exported: InMemorySpanExporter) -> None:
    with server_span("POST", None):
        stored = current_traceparent()
    with batch_span("gateway.dashboard", [carried(stored), carried(stored)]):
        pass
    request, batch = exported.get_finished_spans()
    assert ids(batch)[0] == ids(request)[0]
    assert batch.parent is not None
    assert trace.format_span_id(batch.parent.span_id) == ids(request)[1]


def test_a_batch_of_several_is_linked_to_what_published_it(exported: InMemorySpanExporter) -> None:
    with server_span("POST", None):
        stored = current_traceparent()
    with batch_span("gateway.dashboard", [carried(stored), carried(None), carried("rubbish")]):
        pass
    request, batch = exported.get_finished_spans()
    assert batch.parent is None
    assert [trace.format_span_id(link.context.span_id) for link in batch.links] == [ids(request)[1]]
    assert (batch.attributes or {})["messaging.batch.message_count"] == 3


@pytest.mark.parametrize("rubbish", ["", "x", "00-0-0-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_malformed_traceparent_begins_a_new_trace(exported: InMemorySpanExporter, rubbish: str) -> None:
    with server_span("GET", rubbish):
        assert current_traceparent()
    (span,) = exported.get_finished_spans()
    assert span.parent is None


def test_without_a_collector_ids_are_made_and_carried_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    provider = configure_tracing("membership", None)
    with server_span("POST", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
        first = current_traceparent()
    with server_span("POST", None):
        second = current_traceparent()
    provider.shutdown()
    assert first is not None
    assert second is not None
    assert first.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert second[3:35] not in first


def test_outside_of_a_trace_there_is_none_to_carry() -> None:
    assert current_traceparent() is None


def test_spans_say_nothing_of_errors_but_that_there_was_one(exported: InMemorySpanExporter) -> None:
    secret = "Zhang San"
    with pytest.raises(ValueError, match=secret), consumer_span("c", carried(None)):
        raise ValueError(secret)
    (span,) = exported.get_finished_spans()
    assert not span.status.is_ok
    assert span.status.description == "ValueError"
    assert secret not in span.to_json()


# --- requests --------------------------------------------------------------------------------------------------------


def app() -> Observed:
    inner, outer = APIRouter(prefix="/members"), APIRouter(prefix="/api/v1")

    @inner.get("/{member_id}")
    async def read(member_id: str) -> dict[str, str]:
        if member_id == "missing":
            raise HTTPException(404)
        if member_id == "broken":
            raise RuntimeError("broken")
        return {"traceparent": current_traceparent() or ""}

    outer.include_router(inner)
    application = FastAPI(telemetry=NO_TELEMETRY_OF_FASTAPI)
    application.include_router(outer)

    @application.get("/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    return Observed(application)


@pytest.fixture
def access() -> Iterator[io.StringIO]:
    """The lines of the access log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter("membership"))
    logger = logging.getLogger("unionhall.access")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield stream
    logger.removeHandler(handler)


async def get(path: str, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://unionhall.example") as client:
        return await client.get(path, headers=headers)


def requests(route: str, status: int) -> float:
    labels = {"route": route, "method": "GET", "status": str(status)}
    return REGISTRY.get_sample_value("unionhall_http_request_seconds_count", labels) or 0


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/api/v1/members/zhangsan?name=Zhang", "/api/v1/members/{member_id}", 200),
        ("/api/v1/members/missing?name=Zhang", "/api/v1/members/{member_id}", 404),
        ("/api/v1/members/broken?name=Zhang", "/api/v1/members/{member_id}", 500),
        ("/wp-login/zhangsan?name=Zhang", "unrouted", 404),
    ],
)
async def test_a_request_is_measured_logged_and_traced_by_its_template(
    exported: InMemorySpanExporter, access: io.StringIO, path: str, route: str, status: int
) -> None:
    before = requests(route, status)
    await get(path)
    assert requests(route, status) == before + 1
    line = json.loads(access.getvalue())
    assert (line["method"], line["route"], line["status"]) == ("GET", route, status)
    assert line["ms"] >= 0
    (span,) = exported.get_finished_spans()
    assert span.name == f"GET {route}"
    for told in (access.getvalue(), span.to_json(), exposition()[0].decode()):
        assert "zhang" not in told.lower()


async def test_the_span_of_a_request_continues_the_callers_trace(exported: InMemorySpanExporter) -> None:
    reply = await get(
        "/api/v1/members/1", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )
    (span,) = exported.get_finished_spans()
    assert reply.json()["traceparent"] == f"00-{ids(span)[0]}-{ids(span)[1]}-01"
    assert ids(span)[0] == "0af7651916cd43dd8448eb211c80319c"


async def test_probes_are_measured_but_not_logged(
    exported: InMemorySpanExporter, access: io.StringIO
) -> None:
    before = requests("/health/live", 200)
    await get("/health/live")
    assert requests("/health/live", 200) == before + 1
    assert access.getvalue() == ""


async def test_a_made_up_method_makes_no_label_of_its_own() -> None:
    transport = httpx.ASGITransport(app())
    async with httpx.AsyncClient(transport=transport, base_url="http://unionhall.example") as client:
        await client.request("ZHANG", "/api/v1/members/1")
    text = exposition()[0].decode()
    assert "ZHANG" not in text
    assert 'method="OTHER"' in text


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_all_metrics_carry_our_name_and_have_words() -> None:
    text, kind = exposition()
    assert kind.startswith("text/plain")
    names = {line.split()[2] for line in text.decode().splitlines() if line.startswith("# HELP")}
    assert {
        "unionhall_outbox_age_seconds",
        "unionhall_outbox_backlog",
        "unionhall_oldest_transaction_age_xids",
        "unionhall_relay_events_total",
        "unionhall_consumer_events_total",
        "unionhall_consumer_lag_seconds",
        "unionhall_dead_letters",
        "unionhall_parked_keys",
        "unionhall_http_request_seconds",
        "unionhall_invariant_breaches",
        "unionhall_log_redactions_total",
    } <= names
    assert all(name.startswith(("unionhall_", "process_", "python_")) for name in names)
