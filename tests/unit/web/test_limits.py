"""Rate, nesting, NUL: the arithmetic of limits."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.errors import TooMany
from shared.web.limits import RateLimit, has_nul, is_too_deep


class Ticker:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def allowed(limit: RateLimit, key: str, tries: int) -> int:
    done = 0
    for _ in range(tries):
        try:
            limit.take(key)
        except TooMany:
            break
        done += 1
    return done


def test_a_burst_and_then_an_even_rate() -> None:
    now = Ticker()
    limit = RateLimit(60, now)
    assert allowed(limit, "rita", 100) == 15
    assert allowed(limit, "sven", 100) == 15
    now.seconds += 1
    assert allowed(limit, "rita", 100) == 1
    now.seconds += 5
    assert allowed(limit, "rita", 100) == 5
    now.seconds += 3600
    assert allowed(limit, "rita", 100) == 15


def test_who_waits_as_told_is_let_in() -> None:
    now = Ticker()
    limit = RateLimit(7, now)
    assert allowed(limit, "rita", 10) == 1
    with pytest.raises(TooMany) as refused:
        limit.take("rita")
    assert refused.value.retry_after is not None
    now.seconds += refused.value.retry_after
    limit.take("rita")


@given(st.integers(1, 600), st.lists(st.floats(0, 5), max_size=200))
def test_no_minute_holds_more_than_the_rate_and_the_burst(per_minute: int, pauses: list[float]) -> None:
    now = Ticker()
    limit = RateLimit(per_minute, now)
    taken: list[float] = []
    for pause in pauses:
        now.seconds += pause
        for _ in range(40):
            try:
                limit.take("rita")
            except TooMany:
                break
            taken.append(now.seconds)
    for start in taken:
        within = sum(start <= moment < start + 60 for moment in taken)
        assert within <= per_minute + max(1, per_minute // 4) + 1


def test_nought_lifts_the_limit() -> None:
    assert allowed(RateLimit(0, Ticker()), "rita", 10_000) == 10_000


def test_the_memory_of_the_limit_is_bounded() -> None:
    now = Ticker()
    limit = RateLimit(60, now)
    for number in range(30_000):
        now.seconds += 1
        limit.take(str(number))
    assert len(limit._free_at) <= 10_000


def nested(depth: int) -> Any:
    document: Any = 1
    for level in range(depth):
        document = {"a": document, "b": "[[[["} if level % 2 else [document, 2]
    return document


@pytest.mark.parametrize(
    ("depth", "too_deep"), [(0, False), (31, False), (32, False), (33, True), (200, True)]
)
def test_nesting(depth: int, too_deep: bool) -> None:  # noqa: FBT001 - a parameter of the table
    document = nested(depth)
    assert is_too_deep(orjson.dumps(document), document) is too_deep


def test_a_wide_document_is_not_deep() -> None:
    document: list[list[int]] = [[] for _ in range(1000)]
    assert not is_too_deep(orjson.dumps(document), document)
    text = "[" * 1000
    assert not is_too_deep(orjson.dumps(text), text)


@pytest.mark.parametrize("document", ["\0", ["a", {"b": "x\0"}], {"\0": 1}, {"a": [{"b\0": 1}]}])
def test_a_nul_is_found_wherever_it_hides(document: Any) -> None:
    assert has_nul(document)


@pytest.mark.parametrize("document", ["", "\\u0000", 1, None, ["a", {"b": True}]])
def test_what_holds_no_nul(document: Any) -> None:
    assert not has_nul(document)
