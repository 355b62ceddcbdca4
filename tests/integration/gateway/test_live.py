import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from gateway_service.dashboard.handlers import apply
from gateway_service.live import api
from gateway_service.live.hub import MAX_STREAMS
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.directory import replica
from shared.kernel.ids import new_id
from shared.testing.waiting import eventually
from tests.integration.gateway.histories import FIRST_DAY, member_event, organisation_event
from tests.integration.gateway.test_views import post_event
from tests.support.service import on_a_port
from tests.support.tokens import Issuer

PROVINCE, COUNTY, OTHER = new_id(), new_id(), new_id()


@pytest.fixture
async def fed(worker: Database) -> None:
    organisations = [
        organisation_event(PROVINCE, 1, 1, None, FIRST_DAY),
        organisation_event(COUNTY, 2, 1, PROVINCE, FIRST_DAY),
        organisation_event(OTHER, 3, 1, PROVINCE, FIRST_DAY),
    ]
    async with worker.write(Scope.everything()) as session:
        await replica.apply(
            session, [*organisations, post_event("province", PROVINCE), post_event("other", OTHER)]
        )
        await apply(session, organisations)
        await session.commit()


@pytest.fixture
async def client(gateway: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Over a real connection, on which a stream can stay open."""
    async with (
        on_a_port(gateway._transport.app) as url,  # type: ignore[attr-defined]
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        yield client


class Follower:
    """Reads the events of one stream as they come."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next_event(self, deadline: float = 5) -> str:
        async with asyncio.timeout(deadline):
            async for line in self._lines:
                if line.startswith("event:"):
                    return line.removeprefix("event:").strip()
        raise AssertionError("the stream ended")


async def follow(
    stack: AsyncExitStack, client: httpx.AsyncClient, organisation_id: UUID, headers: dict[str, str]
) -> Follower:
    address = f"/api/v1/organisations/{organisation_id}/live"
    answer = await stack.enter_async_context(client.stream("GET", address, headers=headers))
    assert answer.status_code == 200, await answer.aread()
    assert answer.headers["content-type"].startswith("text/event-stream")
    return Follower(answer)


async def change(worker: Database) -> None:
    member = new_id()
    async with worker.write(Scope.everything()) as session:
        await apply(session, [member_event(member, 1, COUNTY, "active", FIRST_DAY, "admitted")])
        await session.commit()


@pytest.mark.usefixtures("fed")
async def test_who_sees_a_place_hears_of_its_changes_and_nobody_else(
    client: httpx.AsyncClient, issuer: Issuer, worker: Database
) -> None:
    async with AsyncExitStack() as stack:
        province = await follow(stack, client, PROVINCE, issuer.headers("province"))
        county = await follow(stack, client, COUNTY, issuer.headers("province"))
        other = await follow(stack, client, OTHER, issuer.headers("other"))
        refused = await client.get(f"/api/v1/organisations/{COUNTY}/live", headers=issuer.headers("other"))
        assert refused.status_code == 404
        # The first pieces may cross: the hub is told once it listens, the streams once they are registered.
        await asyncio.sleep(0.3)
        await change(worker)
        assert await province.next_event() == "changed"
        assert await county.next_event() == "changed"
        with pytest.raises(TimeoutError):
            await other.next_event(0.5)


@pytest.mark.usefixtures("fed")
@pytest.mark.parametrize("last", ["7", "9" * 5000, "x"])
async def test_a_client_that_comes_back_is_told_to_read_anew(
    client: httpx.AsyncClient, issuer: Issuer, last: str
) -> None:
    async with AsyncExitStack() as stack:
        again = issuer.headers("province") | {"Last-Event-ID": last}
        follower = await follow(stack, client, PROVINCE, again)
        assert await follower.next_event() == "reload"


@pytest.mark.usefixtures("fed")
@pytest.mark.parametrize("ended", ["token", "post"])
async def test_an_open_stream_ends_with_the_token_and_with_the_post(
    gateway: httpx.AsyncClient,
    client: httpx.AsyncClient,
    issuer: Issuer,
    worker: Database,
    monkeypatch: pytest.MonkeyPatch,
    ended: str,
) -> None:
    monkeypatch.setattr(api, "RECHECK_SECONDS", 0.2)
    callers = gateway._transport.app.state.callers  # type: ignore[attr-defined]
    async with AsyncExitStack() as stack:
        follower = await follow(stack, client, PROVINCE, issuer.headers("province"))
        with pytest.raises(TimeoutError):
            await follower.next_event(1)
        if ended == "token":
            callers._verifier._issuer, callers._verifier._remembered = "https://other.test", {}
        else:
            async with worker.write(Scope.everything()) as session:
                await session.execute(text("UPDATE directory_posts SET ends_on = '2026-01-02'"))
                await session.commit()
            callers._kept.clear()
        with pytest.raises(AssertionError, match="the stream ended"):
            await follower.next_event()


@pytest.mark.usefixtures("fed")
async def test_nobody_holds_more_streams_than_anybody_looks_at(
    client: httpx.AsyncClient, issuer: Issuer
) -> None:
    again = issuer.headers("province") | {"Last-Event-ID": "7"}
    address = f"/api/v1/organisations/{PROVINCE}/live"
    async with AsyncExitStack() as stack:
        # Kept: a stream that nobody holds is closed.
        followers = [await follow(stack, client, PROVINCE, again) for _ in range(MAX_STREAMS)]
        assert [await one.next_event() for one in followers] == ["reload"] * MAX_STREAMS
        refused = await client.get(address, headers=again)
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
        # Others are none the poorer.
        await follow(stack, client, OTHER, issuer.headers("other"))

    async def is_free() -> bool:
        async with client.stream("GET", address, headers=again) as answer:
            return answer.status_code == 200

    await eventually(is_free, 10)
