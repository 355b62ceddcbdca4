"""State views need no inbox: the newest sequence of each aggregate wins, so applying an event twice or late changes nothing.

A bulk upsert may not meet a key twice, and two consumers that lock rows in different orders deadlock: fold, then sort.
"""

from collections.abc import Iterable

from shared.contracts.envelope import Received


def newest_wins(events: Iterable[Received]) -> list[Received]:
    """The newest event of each aggregate, sorted by aggregate. A tombstone counts as one: the view keeps its sequence."""
    newest: dict[tuple[str, int], Received] = {}
    for event in events:
        key = (event.topic, event.subject.int)
        known = newest.get(key)
        if known is None or known.sequence < event.sequence:
            newest[key] = event
    return [newest[key] for key in sorted(newest)]
