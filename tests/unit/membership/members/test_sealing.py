import os
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from membership_service.members import sealing
from membership_service.members.documents import DocumentType
from shared.security.keys import KeyRing, SealBroken, new_ring_json

NUMBER, PHONE, BORN = "11010519491231002X", "13812345678", date(1949, 12, 31)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    path = tmp_path / "keys.json"
    path.write_bytes(new_ring_json())
    os.chmod(path, 0o600)  # noqa: PTH101
    return KeyRing.load(path)


def seal(ring: KeyRing, member: UUID | None = None, number: str = NUMBER) -> sealing.SealedColumns:
    id_ = member or uuid4()
    return sealing.seal(
        ring,
        id_,
        document_type=DocumentType.RESIDENT_ID,
        document_number=number,
        phone=PHONE,
        birth_date=BORN,
    )


def opened(ring: KeyRing, member: UUID, sealed: sealing.SealedColumns) -> sealing.Opened:
    return sealing.unseal(
        ring,
        member,
        data_key_wrapped=sealed.data_key_wrapped,
        key_version=sealed.key_version,
        document_sealed=sealed.document_sealed,
        phone_sealed=sealed.phone_sealed,
        birth_date_sealed=sealed.birth_date_sealed,
    )


def test_what_was_sealed_opens_in_its_own_row_only(ring: KeyRing) -> None:
    member = uuid4()
    sealed = seal(ring, member)
    assert opened(ring, member, sealed) == (NUMBER, PHONE, BORN)
    with pytest.raises(SealBroken):
        opened(ring, uuid4(), sealed)
    with pytest.raises(SealBroken):
        opened(ring, member, sealed._replace(document_sealed=sealed.phone_sealed or b""))
    with pytest.raises(SealBroken):
        sealing.unseal(
            ring,
            member,
            data_key_wrapped=None,
            key_version=1,
            document_sealed=sealed.document_sealed,
            phone_sealed=None,
            birth_date_sealed=None,
        )


def test_nothing_plain_is_in_the_columns_and_indexes_agree(ring: KeyRing) -> None:
    one, two, other = seal(ring), seal(ring), seal(ring, number="110105194912310038")
    joined = b"".join(value for value in one if isinstance(value, bytes))
    assert NUMBER.encode() not in joined
    assert PHONE.encode() not in joined
    assert (one.document_blind, one.last4_blind, one.phone_blind) == (
        two.document_blind, two.last4_blind, two.phone_blind)  # fmt: skip
    assert one.document_sealed != two.document_sealed
    assert other.document_blind != one.document_blind
    assert sealing.document_blind(ring, DocumentType.PASSPORT, NUMBER) != one.document_blind
