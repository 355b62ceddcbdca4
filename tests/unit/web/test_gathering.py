"""Who goes with whom, in which order, and what becomes of whoever cannot go."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from shared.database.failures import DatabaseBusy
from shared.web import gathering
from shared.web.gathering import Gathering

#: Breaks every batch that it is in.
BAD = 13
_request: ContextVar[str | None] = ContextVar("_request", default=None)


class Hall:
    """Carries items out when told to, and remembers what came together."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.requests: set[str | None] = set()
        self.turns = asyncio.Semaphore(0)
        self.error: Exception | None = None

    async def carry_out(self, key: str, items: Sequence[int]) -> list[str]:
        self.batches.append((key, list(items)))
        self.requests.add(_request.get())
        await self.turns.acquire()
        if self.error:
            raise self.error
        if BAD in items:
            raise KeyError(BAD)
        return [f"{key}{item}" for item in items]

    def let_go(self, turns: int = 100) -> None:
        for _ in range(turns):
            self.turns.release()


@pytest.fixture
def hall() -> Hall:
    return Hall()


@pytest.fixture
def line(hall: Hall) -> Gathering[str, int, str]:
    return Gathering(hall.carry_out, most=4)


def ask(line: Gathering[str, int, str], *items: int, key: str = "a") -> list[asyncio.Task[str]]:
    return [asyncio.create_task(line.ask(key, item)) for item in items]


async def settled() -> None:
    """Until everybody waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_alone_goes_alone_at_once(hall: Hall, line: Gathering[str, int, str]) -> None:
    hall.let_go()
    assert [await line.ask("a", item) for item in (1, 2)] == ["a1", "a2"]
    assert hall.batches == [("a", [1]), ("a", [2])]


async def test_who_comes_meanwhile_goes_together_in_order_and_never_too_many(
    hall: Hall, line: Gathering[str, int, str]
) -> None:
    first = ask(line, 0)
    await settled()
    others = ask(line, *range(1, 8))
    await settled()
    assert hall.batches == [("a", [0])]
    hall.let_go(1)
    await settled()
    assert hall.batches[1:] == [("a", [1, 2, 3, 4])]
    late = ask(line, 8)
    hall.let_go()
    assert await asyncio.gather(*first, *others, *late) == [f"a{item}" for item in range(9)]
    assert hall.batches[2:] == [("a", [5, 6, 7, 8])]


async def test_who_is_answered_and_comes_again_goes_along(hall: Hall, line: Gathering[str, int, str]) -> None:
    hall.let_go()

    async def again(item: int) -> None:
        for turn in range(3):
            await line.ask("a", item + 100 * turn)

    await asyncio.gather(*(again(item) for item in range(4)))
    assert [items for _, items in hall.batches] == [[0, 1, 2, 3], [100, 101, 102, 103], [200, 201, 202, 203]]


async def test_keys_do_not_wait_for_each_other_and_nothing_is_left_of_them(
    hall: Hall, line: Gathering[str, int, str]
) -> None:
    tasks = [task for number in range(50) for task in ask(line, 1, 2, key=f"k{number}")]
    await settled()
    assert len(hall.batches) == 50
    assert len(line._lines) == len(line._serving) == 50
    hall.let_go()
    await asyncio.gather(*tasks)
    await settled()
    assert not line._lines
    assert not line._serving


async def test_what_was_asked_is_done_even_if_who_asked_went_away(
    hall: Hall, line: Gathering[str, int, str]
) -> None:
    under_way, *others, waiting, last = ask(line, 1, 2, 3, 4, 5, 6)
    await settled()
    under_way.cancel()
    waiting.cancel()
    hall.let_go()
    assert await asyncio.gather(*others, last) == ["a2", "a3", "a4", "a6"]
    assert hall.batches == [("a", [1, 2, 3, 4]), ("a", [5, 6])]


async def test_one_bad_item_costs_the_others_nothing(hall: Hall, line: Gathering[str, int, str]) -> None:
    blocking = ask(line, 0)
    await settled()
    tasks = ask(line, 1, BAD, 2, 3)
    hall.let_go()
    found = await asyncio.gather(*blocking, *tasks, return_exceptions=True)
    assert [repr(one) for one in found] == ["'a0'", "'a1'", f"KeyError({BAD})", "'a2'", "'a3'"]
    assert [items for _, items in hall.batches] == [[0], [1, BAD, 2, 3], [1], [BAD], [2], [3]]


@pytest.mark.parametrize("lost", [DatabaseBusy(), TimeoutError(), ConnectionResetError()])
async def test_a_lost_database_is_nobody_s_fault_and_asked_once(
    hall: Hall, line: Gathering[str, int, str], lost: Exception
) -> None:
    hall.error = lost
    hall.let_go()
    found = await asyncio.gather(*ask(line, 1, 2, 3), return_exceptions=True)
    assert found == [lost] * 3
    assert hall.batches == [("a", [1, 2, 3])]
    hall.error = None
    assert await line.ask("a", 4) == "a4"


async def test_whose_turn_comes_too_late_is_told_so_and_nothing_is_done(
    hall: Hall, line: Gathering[str, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask(line, 1)
    await settled()
    monkeypatch.setattr(gathering, "QUEUE_TIMEOUT", -1)
    late = ask(line, 2, 3)
    await settled()
    monkeypatch.undo()
    last = ask(line, 4)
    hall.let_go()
    found = await asyncio.gather(*first, *late, *last, return_exceptions=True)
    assert [type(one) for one in found] == [str, DatabaseBusy, DatabaseBusy, str]
    assert [items for _, items in hall.batches] == [[1], [4]]


async def test_too_few_answers_are_nobody_s_answers() -> None:
    async def forgetful(_: str, items: Sequence[int]) -> list[int]:
        return list(items)[1:]

    line = Gathering(forgetful)
    found = await asyncio.gather(*(line.ask("a", item) for item in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [ValueError] * 3


async def test_what_goes_together_belongs_to_no_request(hall: Hall, line: Gathering[str, int, str]) -> None:
    hall.let_go()
    _request.set("the first one's")
    assert await line.ask("a", 1) == "a1"
    assert hall.requests == {None}
