"""The app factory of every HTTP process, and how it is served."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from shared.database.engine import Database
from shared.kernel import collector
from shared.kernel.clock import Clock, SystemClock
from shared.observability.http import NO_TELEMETRY_OF_FASTAPI, Observed
from shared.observability.logs import configure_logs
from shared.observability.tracing import configure_tracing
from shared.security.keys import KeyRing
from shared.settings import ServiceSettings, require_free
from shared.web import errors
from shared.web.caller import Callers, PostsReader
from shared.web.head import BoundedHead
from shared.web.health import ReadyCheck, health_router
from shared.web.idempotency import Replay
from shared.web.limits import RateLimit
from shared.web.request import Draining, Frame
from shared.web.routing import ApiRoute
from shared.web.tokens import KeySource, PublishedKeys, TokenVerifier

Hook = Callable[[FastAPI], Awaitable[None]]
#: Requests at the same time in one process; more are answered 503 by the server itself.
MAX_CONCURRENT: Final = 1000
KEEP_ALIVE_SECONDS: Final = 75
GRACE_SECONDS: Final = 20
_PROBLEM: Final[dict[str, Any]] = {
    "description": "Why it was refused",
    "content": {errors.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


@dataclass(frozen=True)
class WebSetup:
    """What one HTTP process is made of."""

    service: str
    settings: ServiceSettings
    database: Database
    routers: Sequence[APIRouter]
    posts_reader: PostsReader
    keys: KeyRing
    ready_checks: Sequence[ReadyCheck] = ()
    clock: Clock = field(default_factory=SystemClock)
    #: The issuer's JWKS over HTTP unless given.
    key_source: KeySource | None = None
    on_start: Sequence[Hook] = ()
    on_stop: Sequence[Hook] = ()
    version: str = "0.1.0"


def create_app(setup: WebSetup) -> FastAPI:
    """The ASGI application. Raises TypeError for a router that was not made by `api_router`."""
    settings = setup.settings
    draining = Draining()
    published = PublishedKeys(settings.oidc_jwks_url)
    verifier = TokenVerifier(settings.oidc_issuer, settings.oidc_audience, setup.key_source or published)

    app = FastAPI(
        title=f"Unionhall {setup.service}",
        version=setup.version,
        lifespan=_lifespan(setup, published),
        # Pages of documentation are the gateway's; FastAPI's own would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        telemetry=NO_TELEMETRY_OF_FASTAPI,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
        middleware=[
            Middleware(Frame, draining=draining),
            Middleware(Observed),
            Middleware(errors.CatchAll),
        ],
    )
    errors.install(app)
    app.add_exception_handler(Replay, _replay)
    app.state.draining = draining
    app.state.database = setup.database
    app.state.clock = setup.clock
    app.state.keys = setup.keys
    app.state.callers = Callers(
        verifier,
        setup.posts_reader,
        setup.database,
        setup.clock,
        RateLimit(settings.rate_limit_per_minute, time.monotonic),
    )
    app.include_router(health_router(setup.ready_checks, lambda: draining.begun))
    for router in setup.routers:
        _check_routes(router)
        app.include_router(router)
    _describe_problems(app)
    return app


def _lifespan(
    setup: WebSetup, published: PublishedKeys
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for start in setup.on_start:
            await start(app)
        collector.settle()
        yield
        for stop in setup.on_stop:
            await stop(app)
        await published.close()
        await setup.database.close()

    return lifespan


async def _replay(_: Request, replay: Exception) -> Response:
    if not isinstance(replay, Replay):
        raise replay
    return replay.response


def _check_routes(router: APIRouter) -> None:
    for route in router.routes:
        if isinstance(route, APIRoute) and not isinstance(route, ApiRoute):
            raise TypeError(f"{route.path}: make its router with shared.web.routing.api_router")


def _describe_problems(app: FastAPI) -> None:
    """Put the schema of problem details into the OpenAPI document, once, when it is first asked for."""
    generate = app.openapi

    def described() -> dict[str, Any]:
        known = app.openapi_schema is not None
        document = generate()
        if not known:
            schema = errors.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(schema.pop("$defs"))
            schemas["Problem"] = schema
        return document

    app.openapi = described  # type: ignore[method-assign]


class DrainingServer(uvicorn.Server):
    """On the first signal it goes on for `drain_seconds`, not ready and closing connections, before it stops.

    So a load balancer learns of it, and no request is sent into a closing socket. A second signal stops
    it at once.
    """

    def __init__(self, config: uvicorn.Config, draining: Draining, drain_seconds: float) -> None:
        """`draining` is shared with the app."""
        super().__init__(config)
        self._draining = draining
        self._drain_seconds = drain_seconds
        self._stop_at: float | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Its parent would raise the signal again once all is done: the last traces are still to be sent then."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came. Runs between two steps of the loop."""
        if self._draining.begun or not self._drain_seconds:
            self._draining.begun = True
            super().handle_exit(sig, frame)
            return
        self._draining.begun = True
        self._stop_at = time.monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second, called by uvicorn: whether to stop."""
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(app: FastAPI, settings: ServiceSettings, service: str) -> None:
    """Serve until a signal comes. Logs and traces are set up here, so that importing an app changes nothing."""
    require_free(settings.http_host, settings.http_port, "http_port")
    configure_logs(service, settings.log_level)
    tracing = configure_tracing(service, settings.otlp_endpoint or None)
    config = uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        loop="uvloop",
        http=BoundedHead,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Only the gateway is in front, and nothing here trusts an address.
        proxy_headers=False,
        limit_concurrency=MAX_CONCURRENT,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    try:
        DrainingServer(config, app.state.draining, settings.drain_seconds).run()
    finally:
        tracing.shutdown()
