"""What every HTTP process tells of its requests: one span, one measurement, one log line, each with the route's template."""

import logging
import time
from functools import cache
from typing import Final

from fastapi.telemetry import TelemetryConfig
from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.observability.metrics import HTTP_IN_FLIGHT, HTTP_SECONDS
from shared.observability.tracing import server_span

log = logging.getLogger("unionhall.access")

#: Requests that no route took; their paths are anybody's text and stay out of metrics and logs.
UNROUTED: Final = "unrouted"
#: For `FastAPI(telemetry=...)`: its own spans would hold raw paths, query strings and the words of exceptions.
NO_TELEMETRY_OF_FASTAPI: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Asked every few seconds by probes and scrapers: measured, not logged.
_QUIET: Final = frozenset({"/health/live", "/health/ready", "/metrics"})


class Observed:
    """Pure ASGI middleware, the outermost but for the one that sets the request id."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and tell of it, also when it fails."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        status = 500
        started = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with server_span(method, _header(scope, b"traceparent")) as span, HTTP_IN_FLIGHT.track_inprogress():
            try:
                await self._app(scope, receive, watched)
            finally:
                route = route_template(scope)
                seconds = time.perf_counter() - started
                _series(route, method, status).observe(seconds)
                if span.is_recording():
                    span.update_name(f"{method} {route}")
                    span.set_attributes({"http.route": route, "http.response.status_code": status})
                if route not in _QUIET:
                    log.info(
                        "request",
                        extra={
                            "method": method,
                            "route": route,
                            "status": status,
                            "ms": round(seconds * 1000, 2),
                        },
                    )


@cache
def _series(route: str, method: str, status: int) -> Histogram:
    """One series of the histogram; few-valued, so each is looked up once."""
    return HTTP_SECONDS.labels(route, method, str(status))


def route_template(scope: Scope) -> str:
    """The template of the route that took the request, like "/api/v1/members/{member_id}", or "unrouted"."""
    # Of a route in an included router FastAPI puts the whole template here; `route.path` lacks the outer prefixes.
    included = scope.get("fastapi", {}).get("effective_route_context")
    return getattr(included, "path", None) or getattr(scope.get("route"), "path", None) or UNROUTED


def _header(scope: Scope, name: bytes) -> str | None:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return None
