"""Commands that meet on one row go together.

Each of them would hold the row until its own commit, and all others would wait for that. So whoever comes while some are under
way waits here instead, and then goes with all who wait, in one statement: the lock is taken and the commit made once for many.
Nobody waits for others to come: who comes alone goes alone, at once.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from typing import Final, Generic, NamedTuple, TypeVar

from shared.database.engine import QUEUE_TIMEOUT
from shared.database.failures import DatabaseBusy, is_database_lost

KeyType = TypeVar("KeyType", bound=Hashable)
ItemType = TypeVar("ItemType")
AnswerType = TypeVar("AnswerType")

#: What goes together at most: a statement stays short, and what breaks it costs few.
MOST: Final = 64


class _Asked(NamedTuple, Generic[ItemType, AnswerType]):
    item: ItemType
    answer: asyncio.Future[AnswerType]
    #: By the loop's clock: from then on the turn comes too late.
    until: float

    def give(self, answer: AnswerType) -> None:
        """Answer, unless nobody waits for it any more."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def refuse(self, error: BaseException) -> None:
        """Fail, unless nobody waits for it any more."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Gathering(Generic[KeyType, ItemType, AnswerType]):
    """A line for each key: first come, first served, one batch under way at a time in this process.

    A line is as long as there are requests in the process, and gone when it is empty.
    """

    def __init__(
        self,
        carry_out: Callable[[KeyType, Sequence[ItemType]], Awaitable[Sequence[AnswerType]]],
        *,
        most: int = MOST,
    ) -> None:
        """`carry_out` does all items of a key, or raises and has done none; it gives an answer for each, in their order."""
        self._carry_out = carry_out
        self._most = most
        self._lines: dict[KeyType, deque[_Asked[ItemType, AnswerType]]] = {}
        # The loop itself holds tasks weakly.
        self._serving: set[asyncio.Task[None]] = set()

    async def ask(self, key: KeyType, item: ItemType) -> AnswerType:
        """The answer to `item`, which is done even if who asked goes away meanwhile.

        Raises what `carry_out` raises for it, and DatabaseBusy if its turn did not come in time: then nothing is done.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[AnswerType] = loop.create_future()
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = deque()
            # Of no request: what is logged or traced there is not the first one's.
            serving = loop.create_task(self._serve(key, line), context=Context())
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)
        line.append(_Asked(item, answer, loop.time() + QUEUE_TIMEOUT))
        return await answer

    async def _serve(self, key: KeyType, line: deque[_Asked[ItemType, AnswerType]]) -> None:
        try:
            while line:
                if batch := self._next(line):
                    await self._carry(key, batch)
                # Answers first: who comes again at once goes along.
                await asyncio.sleep(0)
        finally:
            del self._lines[key]
            for asked in line:
                asked.answer.cancel()

    def _next(self, line: deque[_Asked[ItemType, AnswerType]]) -> list[_Asked[ItemType, AnswerType]]:
        now = asyncio.get_running_loop().time()
        batch: list[_Asked[ItemType, AnswerType]] = []
        while line and len(batch) < self._most:
            asked = line.popleft()
            if asked.until < now:
                asked.refuse(DatabaseBusy())
            else:
                batch.append(asked)
        return batch

    async def _carry(self, key: KeyType, batch: list[_Asked[ItemType, AnswerType]]) -> None:
        """Do them together; if that fails for what one of them may be to blame for, each alone."""
        # Whatever is raised is for those who asked.
        [found] = await asyncio.gather(self._answers(key, batch), return_exceptions=True)
        if not isinstance(found, BaseException):
            for asked, answer in zip(batch, found, strict=True):
                asked.give(answer)
        elif len(batch) == 1 or is_database_lost(found):
            for asked in batch:
                asked.refuse(found)
        else:
            for asked in batch:
                await self._carry(key, [asked])

    async def _answers(self, key: KeyType, batch: list[_Asked[ItemType, AnswerType]]) -> Sequence[AnswerType]:
        answers = await self._carry_out(key, [asked.item for asked in batch])
        if len(answers) != len(batch):
            raise ValueError(f"{len(answers)} answers to {len(batch)}")
        return answers
