"""One enterprise in a small and in a huge federation: its search, its lists and its dashboard have to cost the same."""

import asyncio
import csv
import io
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import asyncpg
import httpx

from local_stack.processes import ChildProcess
from tests.bench.federations import Membership, membership, superuser, until, value
from tests.bench.figures import Figure, figure
from tests.bench.ground import Ground, Size, address, ground
from tests.bench.people import document, name, phone, write_roster

#: Members of the enterprise that is looked at; they are the same people in both federations.
_ENTERPRISE = 500
_BLOCK = 25
_PATIENCE = 3_600.0

Ask = Callable[["_Federation", int], Awaitable[httpx.Response]]


async def sizes(small_ground: Ground, size: Size) -> list[Figure]:
    """Median milliseconds of a request, blocks of each federation in turn. Both are filled through the public import."""
    async with AsyncExitStack() as stack:
        large_ground = stack.enter_context(ground())
        small = await _fill(stack, small_ground, members=size.of(20_000, 1_000), units=size.of(300, 10))
        large = await _fill(stack, large_ground, members=size.of(1_000_000, 3_000), units=size.of(19_000, 50))
        questions: dict[str, Ask] = {
            "search_name": lambda one, serial: one.search(name=name(serial)),
            "search_pinyin": lambda one, _: one.search(pinyin="wangwei"),
            "search_last_four": lambda one, serial: one.search(last_four=document(serial)[-4:]),
            "search_phone": lambda one, serial: one.search(phone=phone(serial)),
            "list": lambda one, _: one.members(),
            "dashboard": lambda one, _: one.dashboard(),
        }
        found = {
            kind: await _compare(kind, ask, small, large, size.of(20, 2), size.rounds)
            for kind, ask in questions.items()
        }
    figures = [
        figure(f"{kind}_large_vs_small", "ms", big, little, target="ratio <= 1.3")
        for kind, (big, little) in found.items()
    ]
    searches = [pair for kind, pair in found.items() if kind.startswith("search")]
    every = [[sum(values) for values in zip(*one, strict=True)] for one in zip(*searches, strict=True)]
    return [figure("search_large_vs_small", "ms", every[0], every[1], target="ratio <= 1.3"), *figures]


async def _compare(
    kind: str, ask: Ask, small: "_Federation", large: "_Federation", blocks: int, rounds: int
) -> tuple[list[float], list[float]]:
    """Medians of the large and of the small one, per round."""
    medians: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        taken: tuple[list[float], list[float]] = ([], [])
        for block in range(blocks):
            for one, times in zip((large, small), taken, strict=True):
                for place in range(_BLOCK):
                    began = time.perf_counter()
                    reply = await ask(one, (block * _BLOCK + place) % _ENTERPRISE)
                    times.append((time.perf_counter() - began) * 1000)
                    reply.raise_for_status()
        for kept, times in zip(medians, taken, strict=True):
            kept.append(statistics.median(times))
        print(
            f"  round {number + 1}  {kind:<18} large {medians[0][-1]:.2f} ms  small {medians[1][-1]:.2f} ms",
            flush=True,
        )
    return medians


@dataclass
class _Federation:
    """A filled federation and its enterprise, asked by the enterprise's registrar."""

    membership: httpx.AsyncClient
    gateway: httpx.AsyncClient
    organisation_id: str

    async def search(self, **what: str) -> httpx.Response:
        """Search the enterprise."""
        body = {"organisation_id": self.organisation_id} | what
        return await self.membership.post("/api/v1/members/search", json=body)

    async def members(self) -> httpx.Response:
        """The first page of its members."""
        return await self.membership.get("/api/v1/members", params={"organisation": self.organisation_id})

    async def dashboard(self) -> httpx.Response:
        """Its dashboard of today."""
        return await self.gateway.get(f"/api/v1/organisations/{self.organisation_id}/dashboard")


async def _fill(stack: AsyncExitStack, ground: Ground, *, members: int, units: int) -> _Federation:
    """Import a tree and a roster, and wait until the gateway has counted everybody."""
    service = await stack.enter_async_context(membership(ground, "relay,jobs"))
    gateway, environment = await asyncio.to_thread(_start_gateway, ground)
    federation = service.federation
    codes = await _found_units(service, units)
    enterprise = await federation.unit(
        kind="enterprise", name="示例汽车零部件有限公司工会", code="BENCH-ENTERPRISE"
    )
    top = await federation.user("registrar", federation.root_id)
    registrar = await federation.user("registrar", enterprise["id"])
    file = ground.folder / "roster.csv"
    write_roster(file, members, codes, enterprise["code"], _ENTERPRISE)
    steps = await service.import_roster(top, federation.root_id, file)
    print(f"  {members} members imported in {sum(steps.values()):.0f} s", flush=True)
    began = time.perf_counter()
    counted = "SELECT count(*) FROM member_places"
    database = superuser(ground, gateway)

    async def complete() -> bool:
        return bool(await value(database, counted) >= members)

    await until(complete, _PATIENCE)
    print(f"  counted by the gateway {time.perf_counter() - began:.0f} s later", flush=True)
    for url in (superuser(ground, service.urls), database):
        connection = await asyncpg.connect(url)
        await connection.execute("VACUUM ANALYZE", timeout=600)
        await connection.close()
    sign = _signing(ground, registrar)
    clients = [
        await stack.enter_async_context(
            httpx.AsyncClient(base_url=url, auth=sign, trust_env=False, timeout=60)
        )
        for url in (address(service.environment), address(environment))
    ]
    return _Federation(clients[0], clients[1], enterprise["id"])


def _signing(ground: Ground, subject: str) -> Callable[[httpx.Request], httpx.Request]:
    """Puts a token into each request, a new one every minute: filling the large federation outlasts a token."""

    @lru_cache(maxsize=1)
    def headers(minute: int) -> dict[str, str]:
        del minute
        return ground.issuer.headers(subject)

    def sign(request: httpx.Request) -> httpx.Request:
        request.headers.update(headers(int(time.monotonic() // 60)))
        return request

    return sign


def _start_gateway(ground: Ground) -> tuple[Any, dict[str, str]]:
    urls = ground.databases("gateway")
    environment = ground.environment("gateway", urls)
    children: list[ChildProcess] = [ground.worker("gateway", environment, "consumers,jobs")]
    children.append(ground.http("gateway_service.app", environment))
    return urls, environment


async def _found_units(service: Membership, count: int) -> list[str]:
    """Import a sheet of units below the top; their codes."""
    codes = [f"BU-{number:05d}" for number in range(count)]
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(("编码", "名称", "类型", "上级编码", "成立日期"))
    cities = max(1, count // 100)
    for number, code in enumerate(codes):
        city = number < cities
        kind, parent = ("city", "") if city else ("enterprise", codes[number % cities])
        writer.writerow((code, f"示例第{number}工会", kind, parent, "2025-06-01"))
    await service.federation.call(
        "POST",
        "/organisations/imports",
        expect=201,
        files={"file": ("units.csv", sheet.getvalue().encode())},
        data={"under": service.federation.root_id},
    )
    return codes
