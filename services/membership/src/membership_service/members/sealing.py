"""How a person is stored: the one recipe of sealed columns and blind indexes, for single commands and imports alike.

Pure but for random nonces; about 25 µs a person. Table and column names are part of what is sealed: a value opens only
in its own row and column.
"""

import os
from datetime import date
from typing import Final, NamedTuple
from uuid import UUID

from membership_service.members import names
from membership_service.members.documents import DocumentType
from membership_service.members.domain import Details, Member
from membership_service.members.people import Person
from shared.security.blind_index import BlindIndex, blind
from shared.security.fields import PersonKey
from shared.security.keys import KeyRing
from shared.security.randomness import Draw

TABLE: Final = "members"
#: Purposes of the blind indexes; each has a key of its own.
DOCUMENT: Final = "members.document"
LAST_FOUR: Final = "members.document.last4"
PHONE: Final = "members.phone"


class SealedColumns(NamedTuple):
    """Columns of `members` that hold or index sensitive values, named as there."""

    data_key_wrapped: bytes
    key_version: int
    document_sealed: bytes
    document_blind: bytes
    last4_blind: bytes
    phone_sealed: bytes | None
    phone_blind: bytes | None
    birth_date_sealed: bytes | None


class Opened(NamedTuple):
    """The plain values of one member."""

    document_number: str
    phone: str | None
    birth_date: date | None


def details(ring: KeyRing, member_id: UUID, person: Person, key: PersonKey | None = None) -> Details:
    """Everything that is stored of a checked person; `key` is the member's own, by default a fresh one."""
    read = names.keys(person.name)
    sealed = seal(
        ring,
        member_id,
        document_type=person.document_type,
        document_number=person.document_number,
        phone=person.phone,
        birth_date=person.birth_date,
        key=key,
    )
    return Details(
        name=person.name,
        name_pinyin=read.pinyin,
        name_initials=read.initials,
        other_pinyin=read.other_pinyin,
        other_initials=read.other_initials,
        document_type=person.document_type,
        gender=person.gender,
        birth_year=person.birth_date.year if person.birth_date else None,
        employment_form=person.employment_form,
        **sealed._asdict(),
    )


def opened(ring: KeyRing, member: Member) -> Opened | None:
    """The plain values of a member; None once erased (or freed by an undone import). Raises SealBroken."""
    if member.data_key_wrapped is None or member.document_sealed is None:
        return None
    return unseal(
        ring,
        member.id,
        data_key_wrapped=member.data_key_wrapped,
        key_version=member.key_version,
        document_sealed=member.document_sealed,
        phone_sealed=member.phone_sealed,
        birth_date_sealed=member.birth_date_sealed,
    )


def seal(
    ring: KeyRing,
    member_id: UUID,
    *,
    document_type: DocumentType,
    document_number: str,
    phone: str | None,
    birth_date: date | None,
    key: PersonKey | None = None,
) -> SealedColumns:
    """Seal normalised values under `key`, by default a fresh key of this person."""
    return Sealer(ring).seal(member_id, document_type, document_number, phone, birth_date, key)


class Sealer:
    """The recipe, with what all people share made ready once: imports seal a million."""

    __slots__ = ("_documents", "_draw", "_last_four", "_phones", "_ring")

    def __init__(self, ring: KeyRing, draw: Draw = os.urandom) -> None:
        """Keys and nonces come from `draw`."""
        self._ring = ring
        self._draw = draw
        self._documents = BlindIndex(ring, DOCUMENT)
        self._last_four = BlindIndex(ring, LAST_FOUR)
        self._phones = BlindIndex(ring, PHONE)

    def seal(
        self,
        member_id: UUID,
        document_type: DocumentType,
        document_number: str,
        phone: str | None,
        birth_date: date | None,
        key: PersonKey | None = None,
    ) -> SealedColumns:
        """Seal normalised values under `key`, by default a fresh key of this person."""
        key = key or PersonKey.new(self._ring, self._draw)
        born = birth_date.isoformat() if birth_date else None
        return SealedColumns(
            key.wrapped,
            key.version,
            key.seal(document_number, table=TABLE, column="document_sealed", record=member_id),
            self._documents.of(f"{document_type}:{document_number}"),
            self._last_four.of(document_number[-4:]),
            key.seal(phone, table=TABLE, column="phone_sealed", record=member_id) if phone else None,
            self._phones.of(phone) if phone else None,
            key.seal(born, table=TABLE, column="birth_date_sealed", record=member_id) if born else None,
        )


def unseal(
    ring: KeyRing,
    member_id: UUID,
    *,
    data_key_wrapped: bytes | None,
    key_version: int,
    document_sealed: bytes,
    phone_sealed: bytes | None,
    birth_date_sealed: bytes | None,
) -> Opened:
    """Open what `seal` made. Raises SealBroken, also for an erased person."""
    key = PersonKey.opened(ring, data_key_wrapped, key_version)
    born = _open(key, member_id, "birth_date_sealed", birth_date_sealed)
    return Opened(
        document_number=key.unseal(document_sealed, table=TABLE, column="document_sealed", record=member_id),
        phone=_open(key, member_id, "phone_sealed", phone_sealed),
        birth_date=date.fromisoformat(born) if born else None,
    )


def document_blind(ring: KeyRing, document_type: DocumentType, document_number: str) -> bytes:
    """Finds a person again by document; unique over all rows."""
    return blind(ring, DOCUMENT, f"{document_type}:{document_number}")


def document_blinds(ring: KeyRing, document_type: DocumentType, document_number: str) -> list[bytes]:
    """The document under every index key in use, the current one first: while keys are rotated, people are under either."""
    value = f"{document_type}:{document_number}"
    return [BlindIndex(ring, DOCUMENT, key).of(value) for key in ring.in_use("index")]


def last4_blinds(ring: KeyRing, last_four: str) -> tuple[bytes, ...]:
    """What a searcher typed, under every index key in use."""
    return tuple(BlindIndex(ring, LAST_FOUR, key).of(last_four) for key in ring.in_use("index"))


def phone_blinds(ring: KeyRing, phone: str) -> tuple[bytes, ...]:
    """A normalised phone under every index key in use."""
    return tuple(BlindIndex(ring, PHONE, key).of(phone) for key in ring.in_use("index"))


def last4_blind(ring: KeyRing, document_number: str) -> bytes:
    """Finds by the last four characters of a normalised document number (or of what a searcher typed)."""
    return blind(ring, LAST_FOUR, document_number[-4:])


def phone_blind(ring: KeyRing, phone: str) -> bytes:
    """Finds by the whole normalised phone."""
    return blind(ring, PHONE, phone)


def _open(key: PersonKey, member_id: UUID, column: str, sealed: bytes | None) -> str | None:
    return None if sealed is None else key.unseal(sealed, table=TABLE, column=column, record=member_id)
