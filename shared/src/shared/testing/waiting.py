"""Waiting for what happens elsewhere, with a deadline and a reason when it did not come."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, overload

Result = TypeVar("Result")


class Eventually(Protocol):
    """Call `probe` (plain or async) every `every` seconds until it gives something true; give that.

    A failed assertion in the probe counts as "not yet". Raises AssertionError after `timeout` seconds, naming what
    the probe said last.
    """

    @overload
    async def __call__(
        self, probe: Callable[[], Awaitable[Result]], timeout: float = 15, *, every: float = 0.05
    ) -> Result: ...
    @overload
    async def __call__(
        self, probe: Callable[[], Result], timeout: float = 15, *, every: float = 0.05
    ) -> Result: ...


async def _wait(probe: Callable[[], Any], timeout: float = 15, *, every: float = 0.05) -> Any:
    deadline = time.monotonic() + timeout
    while True:
        said: object
        try:
            answer = probe()
            said = await answer if inspect.isawaitable(answer) else answer
            if said:
                return said
        except AssertionError as error:
            said = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout} s; last: {said!r}")
        await asyncio.sleep(every)


eventually: Eventually = _wait
