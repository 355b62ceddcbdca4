"""Many demo users at work at the same time, each with an own token, through the gateway."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from uuid import uuid4

import typer
from aiohttp import ClientError, ClientSession, ClientTimeout

from unionhall_cli.federation import gateway_url, token
from unionhall_cli.output import give_up, give_up_with, language

#: Requests under way at the same time: enough to keep two cores busy, few enough that none waits for long.
_AT_ONCE: Final = 12
#: Seconds for which "not yet" is taken as an answer: events are still on their way.
_PATIENCE: Final = 60.0
_PAUSE: Final = 0.5
#: Refusals that pass by themselves: a replica has not heard yet of a member, a unit, a post or an account.
_NOT_YET: Final = frozenset({"stale-replica", "no-own-member", "not-allowed", "not-found", "posts-stale"})
_SERVER_ERROR: Final = 500
_TIMEOUT: Final = ClientTimeout(total=60)


class Answer(NamedTuple):
    """What came back: the document, or the code of a refusal."""

    document: Any
    refusal: str | None = None


class Crowd:
    """The public API, as several users at once."""

    def __init__(self, client: ClientSession) -> None:
        self._client = client
        self._tokens: dict[str, str] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def get(self, user: str, path: str, **asked: Any) -> Any:
        """A document. Ends the command if there is none."""
        return (await self.ask(user, "GET", path, params=asked)).document

    async def all(self, user: str, path: str, most: int, **asked: Any) -> list[dict[str, Any]]:
        """The first `most` items of a list."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while len(found) < most:
            more = {"cursor": cursor} if cursor else {}
            page = await self.get(user, path, limit=min(200, most - len(found)), **asked, **more)
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return found

    async def post(self, user: str, path: str, body: Any = None, *, version: int | None = None) -> Answer:
        """A command that must succeed."""
        return await self.ask(user, "POST", path, body=body, version=version)

    async def ask(
        self,
        user: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        version: int | None = None,
        params: dict[str, Any] | None = None,
        bear: Collection[str] = (),
    ) -> Answer:
        """A request; asked again while it is too early for it. A refusal ends the command, but for those codes in `bear`."""
        headers = {"Authorization": f"Bearer {self._token(user)}", "Accept-Language": language()}
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid4())
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        deadline = time.monotonic() + _PATIENCE
        while True:
            status, document, pause = await self._once(method, path, headers, body, params)
            if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
                return Answer(document)
            code = str(document.get("code", "")) if isinstance(document, dict) else ""
            if code in bear:
                return Answer(None, code)
            if not _passes(status, code) or time.monotonic() > deadline:
                _refuse(status, document, method, path)
            await asyncio.sleep(pause)

    async def _once(
        self, method: str, path: str, headers: dict[str, str], body: Any, params: dict[str, Any] | None
    ) -> tuple[int, Any, float]:
        """Status, document and the seconds after which it may be asked again."""
        try:
            async with (
                self._places,
                self._client.request(method, path, json=body, params=params, headers=headers) as answer,
            ):
                status, content = answer.status, await answer.read()
        except (ClientError, TimeoutError):
            give_up("gateway-silent", url=gateway_url())
        try:
            document = json.loads(content or b"null")
        except ValueError:
            document = None
        return status, document, float(answer.headers.get("Retry-After", _PAUSE))

    def _token(self, user: str) -> str:
        if user not in self._tokens:
            self._tokens[user] = token(user)
        return self._tokens[user]


@asynccontextmanager
async def crowd() -> AsyncIterator[Crowd]:
    """All demo users, for a while."""
    async with ClientSession(gateway_url(), timeout=_TIMEOUT) as client:
        yield Crowd(client)


class Count:
    """How much of what is to be done is done, for a bar."""

    def __init__(self, tell: Callable[[float, float], None], total: int) -> None:
        self._tell, self._done, self._total = tell, 0, total

    async def of(self, work: Awaitable[Any]) -> Any:
        """Do one thing, and count it."""
        found = await work
        self._done += 1
        self._tell(self._done, self._total)
        return found


async def together(work: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """All at once; the first failure ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except* typer.Exit as found:
        raise typer.Exit(1) from found
    return [task.result() for task in tasks]


def _passes(status: int, code: str) -> bool:
    return status >= _SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS or code in _NOT_YET


def _refuse(status: int, document: Any, method: str, path: str) -> None:
    try:
        told = "; ".join(
            [document["detail"], *(f"{one['path']}: {one['detail']}" for one in document["problems"])]
        )
    except (KeyError, TypeError):
        told = "?"
    sentence = f"{method} {path}: {status} {told}"
    give_up_with(sentence, sentence)
