"""A user who does not give up: sends with one key until there is an answer that is not about being down or busy."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx


class Refused(AssertionError):
    """There was an answer, and it was no."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status


async def insist(
    user: httpx.AsyncClient, method: str, path: str, *, patience: float = 60, **request: Any
) -> httpx.Response:
    """Send with one Idempotency-Key until answered. Raises Refused, or AssertionError if no answer comes."""
    headers = {"Idempotency-Key": str(uuid4()), **request.pop("headers", {})}
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        try:
            reply = await user.request(method, path, headers=headers, **request)
        except httpx.TransportError as error:
            answer = repr(error)
        else:
            if reply.is_success:
                return reply
            answer = f"{reply.status_code} {reply.text[:300]}"
            # A replica that is behind says when to ask again.
            busy = "request-still-running" in reply.text or "stale-replica" in reply.text
            if reply.status_code < httpx.codes.INTERNAL_SERVER_ERROR and not busy:
                raise Refused(reply.status_code, f"{method} {path}: {answer}")
        if loop.time() > deadline:
            raise AssertionError(f"{method} {path}: after {patience:.0f} s still {answer}")
        await asyncio.sleep(0.2)
