"""S12: sealed values open only where they were put, under the key they were sealed with; all else fails closed."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.security.blind_index import INDEX_BYTES, blind
from shared.security.fields import PersonKey, seal, unseal
from shared.security.keys import (
    PURPOSES,
    KeyProblem,
    KeyRing,
    Keys,
    SealBroken,
    is_open_to_others,
    key_name,
    new_ring_json,
)
from shared.security.masking import mask_document, mask_name, mask_phone

RECORD, OTHER = UUID(int=1), UUID(int=2)
NUMBER = "110101199003074410"


def ring_of(names: str, current: str | None = None) -> KeyRing:
    keys = {name: name.encode().ljust(32, b".") for name in names.split()}
    return KeyRing({purpose: Keys(current or names.rsplit(maxsplit=1)[-1], keys) for purpose in PURPOSES})


RING = ring_of("k1")


def sealed_by(person: PersonKey, text: str = NUMBER) -> bytes:
    return person.seal(text, table="members", column="document", record=RECORD)


# --- the ring --------------------------------------------------------------------------------------------------------


def write_ring(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "keys.json"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_new_ring_can_be_loaded(tmp_path: Path) -> None:
    ring = KeyRing.load(write_ring(tmp_path, new_ring_json()))
    assert [ring.current(purpose) for purpose in PURPOSES] == ["f1", "i1", "c1", "a1"]
    assert ring.unwrap(ring.wrap(b"x" * 32)) == b"x" * 32


def test_no_two_new_rings_are_alike() -> None:
    first, second = json.loads(new_ring_json()), json.loads(new_ring_json())
    keys = [key for ring in (first, second) for purpose in ring.values() for key in purpose["keys"].values()]
    assert len(set(keys)) == 8


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_ring_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyProblem, match="chmod 600"):
        KeyRing.load(write_ring(tmp_path, new_ring_json(), mode))


@pytest.mark.parametrize(
    ("mode", "owner", "group", "is_open"),
    [
        (0o400, 10001, 10001, False),
        (0o440, 0, 10001, False),  # as Kubernetes mounts a secret: root's, for the pod's own group
        (0o440, 0, 10002, False),  # a supplementary group is the pod's too
        (0o440, 0, 0, True),
        (0o440, 0, 4, True),  # a group that we are not in has others in it
        (0o440, 10001, 10001, True),
        (0o460, 0, 10001, True),
        (0o444, 0, 10001, True),
    ],
)
def test_a_group_may_read_only_what_is_roots_and_the_group_ours(
    mode: int, owner: int, group: int, *, is_open: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getegid", lambda: 10001)
    monkeypatch.setattr(os, "getgroups", lambda: [10001, 10002])
    status = os.stat_result((mode, 1, 1, 1, owner, group, 1, 1, 1, 1))
    assert is_open_to_others(status) is is_open


def _without_audit() -> bytes:
    ring = json.loads(new_ring_json())
    del ring["audit"]
    return json.dumps(ring).encode()


def _with(purpose: str, content: object) -> bytes:
    return json.dumps(json.loads(new_ring_json()) | {purpose: content}).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not JSON"),
        (b"[]", "another form|no keys"),
        (_without_audit(), "no keys for audit"),
        (_with("field", {"current": "f2", "keys": {"f1": "QUFB"}}), "field: the current key is not"),
        (_with("index", {"current": "QUFB", "keys": {"f1": "QUFB" * 11}}), "index: the current key is not"),
        (_with("field", {"current": "QUFB", "keys": {"QUFB": "Zg=="}}), "field: a key must have"),
        (_with("field", {"current": "\ud800", "keys": {"\ud800": "QUFB" * 10 + "QUE="}}), "another form"),
        (_with("field", {"current": "f1", "keys": {"f1": "钥匙"}}), "another form"),
        (_with("field", {"current": ["f1"], "keys": {"f1": "QUFB" * 11}}), "another form"),
        (_with("field", {"current": "f1", "keys": ["QUFB"]}), "another form"),
        (b'{"field": {"current": "f1", "keys": {"f1": "QUFB", "f1": "QUFB"}}}', "two entries of one name"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (_with("field", {"current": "f1", "keys": {"f1": "QUFB"}}), "32 bytes"),
        (_with("field", {"current": "f1", "keys": {"f1": "not base64!"}}), "another form"),
        (_with("field", {"keys": {}}), "another form"),
        (_with("field", "f1"), "another form"),
    ],
)
def test_a_malformed_ring_is_refused_without_quoting_it(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(KeyProblem, match=message) as refusal:
        KeyRing.load(write_ring(tmp_path, content))
    assert "QUFB" not in str(refusal.value)


def test_a_missing_ring_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyProblem, match="No such file"):
        KeyRing.load(tmp_path / "keys.json")


def test_keys_do_not_show_themselves() -> None:
    assert "k1." not in repr(Keys("k1", {"k1": b"k1".ljust(32, b".")}))


def test_derived_keys_differ_by_purpose_use_and_key() -> None:
    ring = ring_of("k1 k2")
    derived = {
        ring.derive("index", "members.phone"),
        ring.derive("index", "members.document"),
        ring.derive("audit", "members.phone"),
        ring.derive("index", "members.phone", "k1"),
    }
    # Keys of equal bytes under different purposes would derive alike: rings are made of different ones.
    assert len(derived) == 3
    with pytest.raises(SealBroken):
        ring.derive("index", "members.phone", "k9")


# --- rotation --------------------------------------------------------------------------------------------------------


def test_an_old_key_still_opens_what_it_sealed_and_seals_no_more() -> None:
    both = ring_of("k1 k2")
    old = RING.wrap(b"x" * 32)
    assert both.unwrap(old) == b"x" * 32
    assert not both.is_current(old)
    new = both.wrap(b"x" * 32)
    assert both.is_current(new)
    assert key_name(new) == "k2"


def test_without_the_old_key_its_seals_stay_closed() -> None:
    with pytest.raises(SealBroken, match="no field key 'k1'"):
        ring_of("k2").unwrap(RING.wrap(b"x" * 32))


def test_a_key_of_the_same_name_but_other_bytes_opens_nothing() -> None:
    other = KeyRing({purpose: Keys("k1", {"k1": b"?" * 32}) for purpose in PURPOSES})
    with pytest.raises(SealBroken):
        other.unwrap(RING.wrap(b"x" * 32))


@pytest.mark.parametrize("rubbish", [b"", b"\x05ab", b"\xff" * 3, b"\x02\xff\xfe", bytes(40)])
def test_what_was_never_sealed_stays_closed(rubbish: bytes) -> None:
    with pytest.raises(SealBroken):
        RING.unwrap(rubbish)


def test_a_seal_opens_only_in_its_context_and_for_its_purpose() -> None:
    sealed = RING.seal("cursor", b"page 2", context=b"members")
    assert RING.unseal("cursor", sealed, context=b"members") == b"page 2"
    with pytest.raises(SealBroken):
        RING.unseal("cursor", sealed, context=b"enterprises")


# --- fields ----------------------------------------------------------------------------------------------------------


@given(st.text())
def test_what_is_sealed_can_be_opened(text: str) -> None:
    person = PersonKey.new(RING)
    again = PersonKey.opened(RING, person.wrapped)
    assert again.unseal(sealed_by(person, text), table="members", column="document", record=RECORD) == text


def test_nothing_of_the_text_or_the_key_can_be_seen_and_no_two_seals_are_alike() -> None:
    person = PersonKey.new(RING)
    first, second = sealed_by(person), sealed_by(person)
    assert first != second
    assert NUMBER.encode() not in first
    assert person.data_key not in person.wrapped


@pytest.mark.parametrize(
    ("table", "column", "record", "version"),
    [
        ("members", "document", OTHER, 1),  # another row
        ("members", "phone", RECORD, 1),  # another column
        ("transfers", "document", RECORD, 1),  # another table
        ("members", "document", RECORD, 2),  # another version of the key
    ],
)
def test_a_seal_moved_elsewhere_stays_closed(table: str, column: str, record: UUID, version: int) -> None:
    person = PersonKey.new(RING)
    sealed = sealed_by(person)
    person.unseal(sealed, table="members", column="document", record=RECORD)
    person.version = version
    with pytest.raises(SealBroken, match=f"{table}.{column} of {record}") as refusal:
        person.unseal(sealed, table=table, column=column, record=record)
    assert NUMBER not in str(refusal.value)


def test_every_flipped_bit_is_found() -> None:
    person = PersonKey.new(RING)

    def open_field(sealed: bytes) -> object:
        return person.unseal(sealed, table="members", column="document", record=RECORD)

    opening: list[tuple[bytes, Callable[[bytes], object]]] = [
        (sealed_by(person), open_field),
        (person.wrapped, RING.unwrap),
    ]
    for sealed, opened in opening:
        opened(sealed)
        for position in range(len(sealed)):
            flipped = bytearray(sealed)
            flipped[position] ^= 1
            with pytest.raises(SealBroken):
                opened(bytes(flipped))
        with pytest.raises(SealBroken):
            opened(sealed[:-1])


def test_another_persons_key_opens_nothing() -> None:
    sealed = sealed_by(PersonKey.new(RING))
    with pytest.raises(SealBroken):
        PersonKey.new(RING).unseal(sealed, table="members", column="document", record=RECORD)


def test_a_destroyed_key_opens_nothing() -> None:
    with pytest.raises(SealBroken, match="erased"):
        PersonKey.opened(RING, None)


def test_the_plain_functions_do_the_same() -> None:
    person = PersonKey.new(RING)
    sealed = seal(person.data_key, NUMBER, table="members", column="document", record=RECORD, key_version=1)
    assert person.unseal(sealed, table="members", column="document", record=RECORD) == NUMBER
    opened = unseal(
        person.data_key, sealed_by(person), table="members", column="document", record=RECORD, key_version=1
    )
    assert opened == NUMBER


# --- blind index and masks -------------------------------------------------------------------------------------------


def test_a_blind_index_finds_the_same_value_only_under_its_purpose_and_key() -> None:
    index = blind(RING, "members.document", NUMBER)
    assert len(index) == INDEX_BYTES
    assert index == blind(RING, "members.document", NUMBER)
    assert index != blind(RING, "members.phone", NUMBER)
    assert index != blind(RING, "members.document", NUMBER[:-1])
    assert index != blind(ring_of("k2"), "members.document", NUMBER)


def test_masks() -> None:
    assert mask_document(NUMBER) == "110***********4410"
    assert mask_document("E12345678") == "*******78"
    assert mask_phone("13900001234") == "139****1234"
    assert mask_phone("0591234") == "*****34"
    assert mask_name("张三") == "张*"
    assert mask_name("欧阳小明") == "欧***"
    assert mask_name("张") == "*"
    assert mask_name("") == ""


@given(st.text(min_size=1, max_size=30))
def test_a_mask_keeps_the_length_and_always_hides_something(text: str) -> None:
    for mask in (mask_document, mask_phone, mask_name):
        masked = mask(text)
        assert len(masked) == len(text)
        assert "*" in masked


def test_new_persons_have_new_keys() -> None:
    assert len({PersonKey.new(RING).data_key for _ in range(100)}) == 100
