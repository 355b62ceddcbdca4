"""The frame of a worker process: chosen parts side by side, health and metrics over HTTP, an orderly end.

`python -m <service>_service.worker --run relay,consumers,jobs`. On SIGTERM every part finishes what is under way.
"""

import argparse
import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.kernel import collector
from shared.kernel.texts import language_of, text
from shared.messaging.parts import Part, Reason
from shared.observability.logs import configure_logs
from shared.observability.metrics import exposition
from shared.observability.tracing import configure_tracing
from shared.settings import ServiceSettings, require_free

logger = logging.getLogger(__name__)

PARTS = ("relay", "consumers", "jobs")
#: Seconds after SIGTERM until parts that are still at work are cut off.
GRACE = 25.0


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """All that a service's worker can run; `--run` chooses. `on_stop` closes databases and the like at the end."""

    service: str
    host: str
    port: int
    #: Run whatever is chosen.
    always: Sequence[Part] = ()
    relay: Part | None = None
    consumers: Sequence[Part] = ()
    jobs: Part | None = None
    on_stop: Sequence[Callable[[], Awaitable[None]]] = field(default=())

    def chosen(self, names: Sequence[str]) -> list[Part]:
        """The parts for `--run` names."""
        by_name: dict[str, list[Part]] = {
            "relay": [self.relay] if self.relay else [],
            "consumers": list(self.consumers),
            "jobs": [self.jobs] if self.jobs else [],
        }
        return [*self.always, *(part for name in names for part in by_name[name])]


def parse_run(argv: Sequence[str]) -> list[str]:
    """The names after `--run`; all by default. Ends the process with a usage message for anything else."""
    parser = argparse.ArgumentParser(description="Run the background parts of a service.")
    parser.add_argument("--run", default=",".join(PARTS), help=f"any of {','.join(PARTS)}")
    names = [name.strip() for name in str(parser.parse_args(argv).run).split(",")]
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"--run knows {', '.join(PARTS)}, not {', '.join(unknown)}")
    return names


def serve(setup: WorkerSetup, settings: ServiceSettings, argv: Sequence[str]) -> None:
    """What a service's worker process does: logs and traces as the settings say, then the parts until told to stop."""
    require_free(settings.http_host, settings.worker_port, "worker_port")
    configure_logs(setup.service, settings.log_level)
    tracing = configure_tracing(setup.service, settings.otlp_endpoint or None)
    try:
        serve_worker(setup, argv)
    finally:
        tracing.shutdown()


def serve_worker(setup: WorkerSetup, argv: Sequence[str]) -> None:
    """Run a worker as this process.

    On the plain loop: under uvloop a consumer was twice seen standing still after the broker was killed (cause unproven).
    """
    asyncio.run(run_worker(setup, argv))


async def run_worker(setup: WorkerSetup, argv: Sequence[str]) -> None:
    """Run the chosen parts until SIGTERM or SIGINT, or until one of them fails for good (then so does the process)."""
    parts = setup.chosen(parse_run(argv))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    collector.settle()
    health = Health(setup.host, setup.port, parts, stop)
    serving = asyncio.create_task(health.serve())
    tasks = [asyncio.create_task(part.run(stop), name=part.name) for part in parts]
    logger.info("worker of %s runs %s", setup.service, ", ".join(part.name for part in parts) or "nothing")
    try:
        await _until_the_end(tasks, serving, stop)
    finally:
        health.end()
        await asyncio.gather(serving, return_exceptions=True)
        for close in setup.on_stop:
            await close()


async def _until_the_end(
    tasks: Sequence["asyncio.Task[None]"], serving: "asyncio.Task[None]", stop: asyncio.Event
) -> None:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({*tasks, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in (*tasks, serving) if task.done()]
    stop.set()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=GRACE)
        for task in late:
            logger.warning("%s did not end in time", task.get_name())
            task.cancel()
    await asyncio.gather(stopping, *tasks, return_exceptions=True)
    for task in failed:
        task.result()


class _Server(uvicorn.Server):
    """A server that leaves the signals to the worker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Health:
    """`/health/live`, `/health/ready` and `/metrics` of a worker."""

    def __init__(self, host: str, port: int, parts: Sequence[Part], stop: asyncio.Event) -> None:
        self._parts = parts
        self._stop = stop
        routes = [
            Route("/health/live", self._live),
            Route("/health/ready", self._ready),
            Route("/metrics", self._metrics),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)

    async def serve(self) -> None:
        """Serve until `end`."""
        await self._server.serve()

    def end(self) -> None:
        """Stop serving."""
        self._server.should_exit = True

    def reasons(self) -> list[Reason]:
        """Why this worker is not ready."""
        draining = [Reason("draining", {})] if self._stop.is_set() else []
        return draining + [reason for part in self._parts for reason in part.reasons()]

    async def _live(self, request: Request) -> Response:
        del request
        return JSONResponse({"live": True})

    async def _ready(self, request: Request) -> Response:
        language = language_of(request.headers.get("accept-language"))
        reasons = [
            {"code": reason.code, "text": text(reason.code, language, **reason.params), **reason.params}
            for reason in self.reasons()
        ]
        return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def _metrics(self, request: Request) -> Response:
        del request
        body, kind = exposition()
        return Response(body, media_type=kind)
