"""Traces through HTTP, outbox, Kafka and consumer, joined by `traceparent` (W3C Trace Context).

It works without a collector: ids are still made, passed on and logged. With one (`UNIONHALL_OTLP_ENDPOINT`) spans are
exported in batches. Span names and attributes are route templates, topics, consumers and ids, never values.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from itertools import islice
from typing import Final

from opentelemetry import context, trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from shared.contracts.envelope import Received

_PROPAGATOR: Final = TraceContextTextMapPropagator()
#: A batch may hold thousands of events; a span that links them all would be larger than the batch.
_MAX_LINKS: Final = 32


def configure_tracing(service: str, otlp_endpoint: str | None, *processors: SpanProcessor) -> TracerProvider:
    """Install the tracer of this process, once; the caller shuts it down at the end. `otlp_endpoint` is a base URL.

    Without anybody to tell, spans only carry ids on, which costs a third of recording them.
    """
    recorded = bool(otlp_endpoint or processors)
    sampler = ParentBased(ALWAYS_ON) if recorded else ALWAYS_OFF
    provider = TracerProvider(sampler=sampler, resource=Resource.create({SERVICE_NAME: service}))
    if otlp_endpoint:
        # The exporter brings an HTTP client and protobuf: a quarter of a second of every start without a collector.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        exporter = OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    for processor in processors:
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    _tracer.cache_clear()
    return provider


def current_traceparent() -> str | None:
    """The `traceparent` of the current span, to be stored with an outbox row; None outside of any trace."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{trace.format_trace_id(span.trace_id)}-{trace.format_span_id(span.span_id)}-{span.trace_flags:02x}"


def remote_context(traceparent: str | None) -> context.Context:
    """The context a `traceparent` names; an empty one if it is missing or malformed."""
    nowhere = context.Context()
    return _PROPAGATOR.extract({"traceparent": traceparent}, context=nowhere) if traceparent else nowhere


@cache
def _tracer() -> Tracer:
    return trace.get_tracer(__name__)


class _Spanning(AbstractContextManager[Span]):
    """A span around a block, current within it. Of an error it tells only the type: messages of errors quote values."""

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        parent: context.Context,
        attributes: Attributes = None,
        links: Sequence[Link] = (),
    ) -> None:
        self._span = _tracer().start_span(name, parent, kind, attributes, links, record_exception=False)
        self._within = trace.set_span_in_context(self._span, parent)

    def __enter__(self) -> Span:
        self._token = context.attach(self._within)
        return self._span

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        context.detach(self._token)
        if kind is not None:
            self._span.set_status(StatusCode.ERROR, kind.__qualname__)
        self._span.end()


def server_span(method: str, traceparent: str | None) -> AbstractContextManager[Span]:
    """The span of a request; its name gains the route's template once that is known (`span.update_name`)."""
    return _Spanning(method, SpanKind.SERVER, remote_context(traceparent))


def consumer_span(consumer: str, received: Received) -> AbstractContextManager[Span]:
    """The span in which one event takes effect: a child of the span that published it."""
    attributes: Attributes = {
        "messaging.system": "kafka",
        "messaging.destination.name": received.topic,
        "messaging.destination.partition.id": str(received.partition),
        "messaging.kafka.offset": received.offset,
        "messaging.message.id": str(received.id),
    }
    parent = remote_context(received.traceparent)
    return _Spanning(f"{consumer} {received.type}", SpanKind.CONSUMER, parent, attributes)


def batch_span(consumer: str, batch: Sequence[Received]) -> AbstractContextManager[Span]:
    """The span in which a batch is applied as a whole.

    Published by one request, it is part of that request's trace; by several, it begins its own and is linked to theirs.
    """
    published = dict.fromkeys(event.traceparent for event in batch)
    attributes: Attributes = {"messaging.system": "kafka", "messaging.batch.message_count": len(batch)}
    if len(published) == 1:
        return _Spanning(f"{consumer} batch", SpanKind.CONSUMER, remote_context(*published), attributes)
    contexts = (
        trace.get_current_span(remote_context(one)).get_span_context()
        for one in islice(published, _MAX_LINKS)
    )
    links = [Link(one) for one in contexts if one.is_valid]
    return _Spanning(f"{consumer} batch", SpanKind.CONSUMER, context.Context(), attributes, links)
