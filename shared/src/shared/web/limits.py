"""What a request may cost: its rate, the size and the nesting of its body, the time it takes to arrive."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from shared.kernel.errors import TooMany

#: Bytes of a body where the route does not say otherwise.
MAX_BODY: Final = 1024 * 1024
MAX_DEPTH: Final = 32
#: Seconds that a body may take; a route with a larger limit gets the time in proportion.
BODY_SECONDS: Final = 20.0
_PRUNE_AT: Final = 10_000


class RateLimit:
    """So many requests a minute for each key, evenly, with a burst of a quarter of it (GCRA: one number kept for each key).

    In the memory of one process: n processes allow n times as much, which is enough against a client gone wild; what must
    hold exactly (unmasking a day) is counted in the database.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        """`per_minute` 0 lifts the limit. `clock` is monotonic, in seconds."""
        self._interval = 60 / per_minute if per_minute else 0.0
        self._burst = self._interval * max(1, per_minute // 4)
        self._clock = clock
        self._free_at: dict[tuple[str, ...], float] = {}

    def take(self, *key: str) -> None:
        """Count one request of `key`. Raises TooMany with the seconds after which it fits again."""
        if not self._interval:
            return
        now = self._clock()
        free_at = max(self._free_at.get(key, now), now)
        over = free_at + self._interval - now - self._burst
        if over > 1e-9:
            raise TooMany("too-many-requests", retry_after=max(1, -int(-over // 1)))
        if len(self._free_at) >= _PRUNE_AT:
            self._free_at = {kept: moment for kept, moment in self._free_at.items() if moment > now}
        self._free_at[key] = free_at + self._interval


def is_too_deep(body: bytes, document: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether `document`, parsed from `body`, nests deeper than `limit`. Nearly always decided by counting brackets."""
    if body.count(b"{") + body.count(b"[") <= limit:
        return False
    level: list[Any] = [document]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


def has_nul(document: Any) -> bool:
    """Whether a string or key of `document` holds U+0000, which PostgreSQL cannot store."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "\0" in value:
                return True
        elif isinstance(value, dict | list):
            waiting.extend(_children(value))
            if isinstance(value, dict):
                waiting.extend(value)
    return False


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
