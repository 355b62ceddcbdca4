"""Traces through HTTP, outbox, Kafka and consumer, joined by `traceparent` (W3C Trace Context).

It works without a collector: ids are still made, passed on and logged. With one (`UNIONHALL_OTLP_ENDPOINT`) spans are
exported in batches. Span names and attributes are route templates, topics, consumers and ids, never values.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from shared.contracts.envelope import Received

_PROPAGATOR: Final = TraceContextTextMapPropagator()
#: A batch may hold thousands of events; a span that links them all would be larger than the batch.
_MAX_LINKS: Final = 32


def configure_tracing(service: str, otlp_endpoint: str | None, *processors: SpanProcessor) -> TracerProvider:
    """Install the tracer of this process, once; the caller shuts it down at the end. `otlp_endpoint` is a base URL."""
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    if otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    for processor in processors:
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    return provider


def current_traceparent() -> str | None:
    """The `traceparent` of the current span, to be stored with an outbox row; None outside of any trace."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{trace.format_trace_id(span.trace_id)}-{trace.format_span_id(span.span_id)}-{span.trace_flags:02x}"


def remote_context(traceparent: str | None) -> context.Context:
    """The context a `traceparent` names; an empty one if it is missing or malformed."""
    return _PROPAGATOR.extract({"traceparent": traceparent} if traceparent else {}, context=context.Context())


@contextmanager
def _span(
    name: str,
    kind: SpanKind,
    parent: context.Context,
    attributes: Attributes = None,
    links: Sequence[Link] = (),
) -> Iterator[Span]:
    """A span that tells of an error only its type: messages of errors quote values."""
    with trace.get_tracer(__name__).start_as_current_span(
        name,
        context=parent,
        kind=kind,
        attributes=attributes,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as error:
            span.set_status(StatusCode.ERROR, type(error).__qualname__)
            raise


@contextmanager
def server_span(method: str, traceparent: str | None) -> Iterator[Span]:
    """The span of a request; its name gains the route's template once that is known (`span.update_name`)."""
    with _span(method, SpanKind.SERVER, remote_context(traceparent)) as span:
        yield span


@contextmanager
def consumer_span(consumer: str, received: Received) -> Iterator[Span]:
    """The span in which one event takes effect: a child of the span that published it."""
    attributes: Attributes = {
        "messaging.system": "kafka",
        "messaging.destination.name": received.topic,
        "messaging.destination.partition.id": str(received.partition),
        "messaging.kafka.offset": received.offset,
        "messaging.message.id": str(received.id),
    }
    parent = remote_context(received.traceparent)
    with _span(f"{consumer} {received.type}", SpanKind.CONSUMER, parent, attributes) as span:
        yield span


@contextmanager
def batch_span(consumer: str, batch: Sequence[Received]) -> Iterator[Span]:
    """The span in which a batch is applied as a whole, linked to the spans that published its first events."""
    links = [
        Link(published)
        for received in batch[:_MAX_LINKS]
        if received.traceparent
        and (
            published := trace.get_current_span(remote_context(received.traceparent)).get_span_context()
        ).is_valid
    ]
    attributes: Attributes = {"messaging.system": "kafka", "messaging.batch.message_count": len(batch)}
    with _span(f"{consumer} batch", SpanKind.CONSUMER, context.Context(), attributes, links) as span:
        yield span
