"""Random bytes drawn many at a time: none is handed out twice; and the prepared blind index is the plain HMAC."""

import hmac
from base64 import b64encode
from pathlib import Path

import orjson
import pytest

from shared.security.blind_index import BlindIndex, blind
from shared.security.keys import PURPOSES, KeyRing
from shared.security.randomness import RandomPool


def test_every_byte_is_handed_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[bytes] = []

    def counted(size: int) -> bytes:
        first = sum(map(len, drawn)) // 4
        drawn.append(b"".join(number.to_bytes(4, "big") for number in range(first, first + size // 4)))
        return drawn[-1]

    monkeypatch.setattr("shared.security.randomness.os.urandom", counted)
    draw = RandomPool()
    pieces = [draw(size) for _ in range(4000) for size in (32, 12, 8)]
    assert [len(piece) for piece in pieces[:3]] == [32, 12, 8]
    words = [piece[at : at + 4] for piece in pieces for at in range(0, len(piece), 4)]
    assert len(set(words)) == len(words)
    assert len(drawn) > 3


def test_a_prepared_blind_index_is_the_hmac_of_each_value(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = {"current": "k", "keys": {"k": b64encode(bytes(range(32))).decode()}}
    path.write_bytes(orjson.dumps(dict.fromkeys(PURPOSES, keys)))
    path.chmod(0o600)
    ring = KeyRing.load(path)
    index = BlindIndex(ring, "members.phone")
    for value in ("13800000001", "", "王小明" * 50):
        expected = hmac.digest(ring.derive("index", "members.phone"), value.encode(), "sha256")[:16]
        assert index.of(value) == expected == blind(ring, "members.phone", value)
