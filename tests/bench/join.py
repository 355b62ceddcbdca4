"""The join command over HTTP beside a POST that does nothing."""

import asyncio
import sys
from itertools import count
from typing import Any

import orjson

from tests.bench.federations import Membership, membership
from tests.bench.figures import Figure, figure, interleaved
from tests.bench.ground import Ground, Size, calm

_CONNECTIONS = 32


async def join(ground: Ground, size: Size) -> list[Figure]:
    """One service process, 32 connections; every join is another person."""
    requests = size.of(20_000, 400)
    async with membership(ground, "jobs", "tests.bench.join_app") as service:
        unit = await service.federation.unit(kind="enterprise")
        sender = _Sender(ground, service, unit["id"], await service.federation.user("registrar", unit["id"]))
        # The first requests of a process open its connections.
        await sender.rate("/api/v1/members/applications", 200)
        found = await interleaved(
            size.rounds,
            nothing=lambda: sender.rate("/bench/nothing", requests),
            join=lambda: sender.rate("/api/v1/members/applications", requests),
            signed=lambda: sender.rate("/bench/signed", requests),
        )
    return [
        figure("http_join_vs_noop", "req/s", found["join"], found["nothing"], target="ratio >= 0.4"),
        figure("http_join_vs_signed_noop", "req/s", found["join"], found["signed"]),
        figure("http_join_p99_ms", "ms", sender.p99["/api/v1/members/applications"][1:]),
    ]


class _Sender:
    """Sends joins with the program `tests.bench.load`."""

    def __init__(self, ground: Ground, service: Membership, organisation_id: str, registrar: str) -> None:
        self._ground = ground
        self._port = int(service.environment["UNIONHALL_HTTP_PORT"])
        self._organisation_id = organisation_id
        self._registrar = registrar
        self._serials = count(0)
        self.p99: dict[str, list[float]] = {}

    async def rate(self, path: str, requests: int) -> float:
        """Requests a second. Raises RuntimeError unless every one was answered 201."""
        order = {
            "port": self._port,
            "path": path,
            "authorization": self._ground.issuer.headers(self._registrar)["Authorization"],
            "organisation_id": self._organisation_id,
            "first": next(self._serials) * 50_000,
            "count": requests,
            "connections": _CONNECTIONS,
        }
        told = await self._run(order)
        if told["statuses"] != {"201": requests}:
            raise RuntimeError(f"{path} answered {told['statuses']}")
        self.p99.setdefault(path, []).append(told["p99_ms"])
        return requests / float(told["seconds"])

    async def _run(self, order: dict[str, Any]) -> dict[str, Any]:
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.load", stdin=pipe, stdout=pipe
        )
        assert child.stdin
        assert child.stdout
        child.stdin.write(orjson.dumps(order) + b"\n")
        await child.stdout.readline()
        await calm(self._ground.postgres_url)
        child.stdin.write(b"go\n")
        told: dict[str, Any] = orjson.loads(await child.stdout.readline())
        await child.wait()
        return told
