"""Identifiers of a batch: in the order of its rows, and still UUIDs of version 7."""

from uuid import RFC_4122

import pytest

from shared.kernel.ids import ordered_id

NOW = 1_772_000_000_000


def test_ids_rise_with_their_positions_over_the_carry() -> None:
    ids = [ordered_id(NOW, position, b"\xff" * 8 if position % 2 else bytes(8)) for position in range(10_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("position", [0, 1, 4095, 4096, 1_048_576])
@pytest.mark.parametrize("random", [bytes(8), b"\xff" * 8])
def test_they_are_of_version_7_and_of_their_time(position: int, random: bytes) -> None:
    made = ordered_id(NOW, position, random)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == NOW + position // 4096


def test_equal_positions_differ_by_what_is_random() -> None:
    assert ordered_id(NOW, 7, bytes(8)) != ordered_id(NOW, 7, b"\x80" + bytes(7))
