import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.lottery.domain import (
    BLOCK,
    Entry,
    Lottery,
    commitment_of,
    digest_of,
    draw,
    draw_key,
    unpacked,
)
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.security.acting import By
from unionhall_cli import lottery as command

AT = datetime(2026, 3, 16, 1, 30, tzinfo=UTC)
BY = By("https://identity.test", "organiser", AT)
SEED = bytes(range(32))


def published(entries: list[Entry], seats: list[int], seed: bytes = SEED) -> dict[str, Any]:
    return {
        "activity_id": str(new_id()),
        "commitment": commitment_of(seed).hex(),
        "entries": len(entries),
        "entries_digest": digest_of(one.registration_id for one in entries).hex(),
        "seats": seats,
        "seed": seed.hex(),
        "drawn_at": AT.isoformat(),
    }


def shown(entries: list[Entry]) -> list[command.Entry]:
    return [
        command.Entry(one.registration_id, one.pool, one.rank, "confirmed" if one.is_confirmed else "waiting")
        for one in entries
    ]


def drawn(number: int = 20, seats: tuple[int, ...] = (3, 2)) -> tuple[list[Entry], dict[str, Any]]:
    pools = {new_id(): place % len(seats) for place in range(number)}
    entries = draw(draw_key(SEED, digest_of(pools)), pools, list(seats))
    return entries, published(entries, list(seats))


@given(st.lists(st.uuids(), unique=True, max_size=40), st.binary(min_size=32, max_size=32), st.data())
def test_a_draw_gives_each_pool_its_seats_in_one_order_and_verifies(
    ids: list[UUID], seed: bytes, data: st.DataObject
) -> None:
    seats = data.draw(st.lists(st.integers(0, 10), min_size=1, max_size=3))
    pools = {one: data.draw(st.integers(0, len(seats) - 1)) for one in ids}
    entries = draw(draw_key(seed, digest_of(ids)), pools, seats)
    assert [one.rank for one in entries] == list(range(1, len(ids) + 1))
    for pool, free in enumerate(seats):
        mine = [one.is_confirmed for one in entries if one.pool == pool]
        assert mine == [True] * min(free, len(mine)) + [False] * max(0, len(mine) - free)
    assert not list(command.differences(published(entries, seats, seed), shown(entries)))


def test_another_seed_or_another_entry_is_another_order() -> None:
    pools = dict.fromkeys([new_id() for _ in range(30)], 0)
    one = draw(draw_key(SEED, digest_of(pools)), pools, [5])
    other_seed = draw(draw_key(SEED[::-1], digest_of(pools)), pools, [5])
    more = draw(draw_key(SEED, digest_of([*pools, new_id()])), pools, [5])
    orders = [[entry.registration_id for entry in entries] for entries in (one, other_seed, more)]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def codes(document: dict[str, Any], entries: list[command.Entry]) -> list[str]:
    return [one.code for one in command.differences(document, entries)]


def test_every_manipulation_of_what_was_published_is_found() -> None:
    entries, document = drawn()
    good = shown(entries)
    assert codes(document, good) == []
    loser = next(place for place, one in enumerate(good) if one.result == "waiting")
    assert codes(document, [*good[:loser], good[loser]._replace(result="confirmed"), *good[loser + 1 :]]) == [
        "lottery-result-differs"
    ]
    swapped = [good[1]._replace(rank=1), good[0]._replace(rank=2), *good[2:]]
    assert codes(document, swapped) == ["lottery-order-differs"]
    assert codes(document, good[1:])[:2] == ["lottery-count-differs", "lottery-digest-differs"]
    assert codes(document, [*good, good[0]])[0] == "lottery-count-differs"
    assert "lottery-digest-differs" in codes(document, [good[0]._replace(id=new_id()), *good[1:]])
    assert "lottery-seed-differs" in codes(document | {"seed": SEED[::-1].hex()}, good)
    assert "lottery-result-differs" in codes(document | {"seats": [4, 2]}, good)
    assert "lottery-result-differs" in codes(document, [good[0]._replace(pool=7), *good[1:]])


def test_the_seed_is_revealed_once_and_only_the_one_committed_to() -> None:
    lottery = Lottery(
        activity_id=new_id(), commitment=commitment_of(SEED), committed_at=AT, seed_wrapped=b"sealed"
    )
    digest = digest_of([])
    with pytest.raises(ValueError, match="not the one committed to"):
        lottery.reveal(SEED[::-1], 0, digest, [1], BY)
    assert lottery.seed is None
    assert lottery.reveal(SEED, 0, digest, [1], BY) == hashlib.sha256(SEED + digest).digest()
    revealed: tuple[bytes | None, bytes | None] = (lottery.seed, lottery.seed_wrapped)
    assert revealed == (SEED, None)
    with pytest.raises(Conflict, match="lottery-drawn"):
        lottery.reveal(SEED, 0, digest, [1], BY)


def test_a_block_is_read_as_it_was_written() -> None:
    one, other = new_id(), new_id()
    block = one.bytes + b"\x00\x02\x01\x00\x00\x00\x05" + other.bytes + b"\x00\x00\x00\x00\x00\x00\x06"
    assert list(unpacked(1, block)) == [
        Entry(one, 2, BLOCK + 1, 5, is_confirmed=True),
        Entry(other, 0, BLOCK + 2, 6, is_confirmed=False),
    ]
