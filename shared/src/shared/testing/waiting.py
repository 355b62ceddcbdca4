"""Waiting for what happens elsewhere, with a deadline and a reason when it did not come."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Eventually(Protocol):
    """The type of the fixture `eventually`."""

    async def __call__(
        self, probe: Callable[[], Result | Awaitable[Result]], timeout: float = 15, *, every: float = 0.05
    ) -> Result:
        """See the function `eventually`."""
        ...


async def eventually(
    probe: Callable[[], Result | Awaitable[Result]], timeout: float = 15, *, every: float = 0.05
) -> Result:
    """Call `probe` (plain or async) every `every` seconds until it gives something true; give that.

    A failed assertion in the probe counts as "not yet". Raises AssertionError after `timeout` seconds, naming what
    the probe said last.
    """
    deadline = time.monotonic() + timeout
    while True:
        said: object
        try:
            answer = probe()
            result = await answer if inspect.isawaitable(answer) else answer
            if result:
                return result
            said = result
        except AssertionError as error:
            said = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout} s; last: {said!r}")
        await asyncio.sleep(every)
