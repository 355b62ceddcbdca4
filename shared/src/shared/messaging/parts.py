"""What a worker process is made of, and what a part tells about its health."""

import asyncio
import random
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a part is not ready: a code of `texts.toml` with its parameters, so that an operator knows what to do."""

    code: str
    params: dict[str, str | int]


class Part(Protocol):
    """Something that runs until it is told to stop: a relay, a consumer, a job runner."""

    name: str

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is under way."""
        ...

    def reasons(self) -> list[Reason]:
        """Why it is not ready; empty when it is."""
        ...


class Backoff:
    """Growing pauses with jitter between tries, reset by success."""

    def __init__(self, first: float = 0.2, longest: float = 10.0) -> None:
        self._first = first
        self._longest = longest
        self.tries = 0

    def reset(self) -> None:
        """The last try worked."""
        self.tries = 0

    async def pause(self, stop: asyncio.Event) -> None:
        """Wait for the next try, or less if `stop` is set."""
        longest = min(self._longest, self._first * 2 ** min(self.tries, 16))
        self.tries += 1
        await wait_for_stop(stop, longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret


async def wait_for_stop(stop: asyncio.Event, seconds: float) -> bool:
    """Sleep, or wake up early because `stop` is set; whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
