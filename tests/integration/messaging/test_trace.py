"""One trace from a request over the outbox and a real broker to the effect in another transaction."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import ClassVar
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from shared.contracts.envelope import Event, EventData, Received, Topic
from shared.database.session import WriteSession
from shared.messaging.consumer import Consumer
from shared.messaging.relay import Relay
from shared.observability.http import NO_TELEMETRY_OF_FASTAPI, Observed
from shared.observability.tracing import configure_tracing, current_traceparent
from shared.testing.waiting import Eventually
from tests.integration.messaging.conftest import Bench

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Said(EventData):
    type: ClassVar[str] = "unionhall.scratch.thing.said.v1"
    topic: ClassVar[Topic]

    note: str


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans that ended; the process's tracer put back afterwards."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    exporter = InMemorySpanExporter()
    provider = configure_tracing("scratch", None, SimpleSpanProcessor(exporter))
    yield exporter
    provider.shutdown()


def span_id(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context
    return trace.format_span_id(context.span_id)


async def test_one_trace_from_request_to_effect(
    bench: Bench, exported: InMemorySpanExporter, eventually: Eventually
) -> None:
    subject, inside = uuid4(), list[str | None]()

    async def handle(_: WriteSession, batch: Sequence[Received]) -> None:
        inside.extend(current_traceparent() for event in batch if event.subject == subject)

    application = FastAPI(telemetry=NO_TELEMETRY_OF_FASTAPI)

    @application.post("/things")
    async def say() -> None:
        await bench.commit(
            Event(
                id=uuid4(),
                subject=subject,
                sequence=1,
                time=datetime.now(UTC),
                source="/unionhall/scratch",
                type=Said.type,
                topic=bench.topic,
                data=Said(note="x"),
                traceparent=current_traceparent(),
            )
        )

    bench.start(Relay(bench.urls.worker, bench.kafka, bench.service, topics=[bench.topic]))
    bench.start(
        Consumer(
            f"{bench.service}.trace", [bench.topic], handle, "effects", bench.worker, bench.kafka, "earliest"
        )
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Observed(application)), base_url="http://unionhall.example"
    ) as client:
        assert (await client.post("/things", headers={"traceparent": CALLER})).is_success
    await eventually(lambda: inside, timeout=25)
    await eventually(lambda: len(exported.get_finished_spans()) == 2)
    request, effect = exported.get_finished_spans()
    assert request.name == "POST /things"
    assert effect.name == f"{bench.service}.trace batch"
    assert effect.parent is not None
    assert trace.format_span_id(effect.parent.span_id) == span_id(request)
    assert inside == [f"00-0af7651916cd43dd8448eb211c80319c-{span_id(effect)}-01"]
