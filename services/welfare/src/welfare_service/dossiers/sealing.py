"""How a household is stored: the one recipe of sealed columns and blind indexes. Each person has a data key, so has the file."""

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple
from uuid import UUID

from shared.kernel.errors import Invalid
from shared.kernel.ids import new_id
from shared.security.blind_index import BlindIndex, blind
from shared.security.fields import PersonKey
from shared.security.keys import KeyRing
from welfare_service.dossiers.classification import Aid, Amount, Inputs, PersonInput
from welfare_service.dossiers.domain import Dossier, Line, Person
from welfare_service.dossiers.kinds import (
    DocumentType,
    Exclusion,
    Health,
    Insurance,
    LineKind,
    Occupation,
    Relation,
)

PERSONS: Final = "dossier_persons"
LINES: Final = "dossier_lines"
HISTORY: Final = "dossier_history"
DECISIONS: Final = "dossier_decisions"
#: Purposes of the blind indexes; each has a key of its own.
DOCUMENT: Final = "dossiers.document"
LAST_FOUR: Final = "dossiers.document.last4"
#: What the key is derived for by which a decision's inputs are hashed.
_DIGEST: Final = b"dossiers.inputs"

_NOISE: Final = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")
_RESIDENT: Final = re.compile(r"\d{6}((19|20)\d{2})\d{7}[\dX]", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Particulars:
    """A person in plain words, as somebody entered them."""

    name: str
    document_type: DocumentType
    document_number: str
    phone: str | None
    illness: str | None
    birth_year: int | None
    relation: Relation
    health: Health
    insurance: Insurance
    occupation: Occupation
    is_able: bool


class Opened(NamedTuple):
    """The plain values of one person."""

    name: str
    document_number: str
    phone: str | None
    illness: str | None


def normalise(number: str) -> str:
    """Full-width characters made narrow, blanks and invisible characters removed, letters in upper case."""
    return _NOISE.sub("", unicodedata.normalize("NFKC", number)).upper()


def new_person(ring: KeyRing, dossier_id: UUID, given: Particulars, on: date) -> Person:
    """A person with a fresh data key, as yet no member's. Raises Invalid for a document that cannot be."""
    person_id, key = new_id(), PersonKey.new(ring)
    number = normalise(given.document_number)
    return Person(
        id=person_id,
        dossier_id=dossier_id,
        member_id=None,
        relation=given.relation,
        health=given.health,
        insurance=given.insurance,
        occupation=given.occupation,
        is_able=given.is_able,
        birth_year=_birth_year(given, number, on),
        document_type=given.document_type,
        name_sealed=_seal(key, person_id, "name_sealed", given.name.strip()),
        document_sealed=_seal(key, person_id, "document_sealed", number),
        document_blind=document_blind(ring, given.document_type, number),
        last4_blind=last4_blind(ring, number),
        phone_sealed=_seal(key, person_id, "phone_sealed", given.phone) if given.phone else None,
        illness_sealed=_seal(key, person_id, "illness_sealed", given.illness) if given.illness else None,
        data_key_wrapped=key.wrapped,
        key_version=key.version,
        entered_on=on,
    )


def opened(ring: KeyRing, person: Person) -> Opened | None:
    """The plain values of a person; None once erased. Raises SealBroken."""
    if person.data_key_wrapped is None or person.name_sealed is None or person.document_sealed is None:
        return None
    key = key_of(ring, person)
    return Opened(
        name=_open(key, person.id, "name_sealed", person.name_sealed),
        document_number=_open(key, person.id, "document_sealed", person.document_sealed),
        phone=_open(key, person.id, "phone_sealed", person.phone_sealed) if person.phone_sealed else None,
        illness=_open(key, person.id, "illness_sealed", person.illness_sealed)
        if person.illness_sealed
        else None,
    )


def reseal(ring: KeyRing, person: Person, column: str, value: str | None) -> None:
    """Put another value into `phone_sealed` or `illness_sealed`."""
    setattr(person, column, _seal(key_of(ring, person), person.id, column, value) if value else None)


def new_line(key: PersonKey, person_id: UUID, kind: LineKind, amount: int, on: date) -> Line:
    """An amount, sealed under the person's key."""
    line_id = new_id()
    sealed = key.seal(str(amount), table=LINES, column="amount_sealed", record=line_id)
    return Line(id=line_id, person_id=person_id, kind=kind, on_date=on, amount_sealed=sealed)


def amounts(ring: KeyRing, person: Person) -> tuple[Amount, ...]:
    """The lines of a person, opened; none of an erased one."""
    if person.data_key_wrapped is None:
        return ()
    key = key_of(ring, person)
    return tuple(
        Amount(
            line.kind,
            int(key.unseal(line.amount_sealed, table=LINES, column="amount_sealed", record=line.id)),
            line.on_date,
        )
        for line in person.lines
    )


def inputs_of(ring: KeyRing, dossier: Dossier, aid: tuple[Aid, ...]) -> Inputs:
    """What the rules look at, opened."""
    return Inputs(
        persons=tuple(
            PersonInput(
                person.id, person.occupation, person.is_able, person.birth_year, amounts(ring, person)
            )
            for person in dossier.persons
        ),
        aid=aid,
        causes=tuple(cause for cause in (dossier.primary_cause, dossier.secondary_cause) if cause),
        exclusions=tuple(map(Exclusion, dossier.exclusions)),
    )


def seal_in_file(ring: KeyRing, dossier: Dossier, table: str, column: str, record: UUID, value: str) -> bytes:
    """Seal something about the household as a whole under the file's own key."""
    return _file_key(ring, dossier).seal(value, table=table, column=column, record=record)


def open_in_file(
    ring: KeyRing, dossier: Dossier, table: str, column: str, record: UUID, sealed: bytes
) -> str:
    """What `seal_in_file` made. Raises SealBroken."""
    return _file_key(ring, dossier).unseal(sealed, table=table, column=column, record=record)


def note_column(version: int) -> str:
    """The place of the note of one version: the notes of a dossier cannot be exchanged."""
    return f"note_sealed.{version}"


def document_blind(ring: KeyRing, document_type: DocumentType, number: str) -> bytes:
    """Finds a person again by document; unique over all who stand in a dossier."""
    return blind(ring, DOCUMENT, f"{document_type}:{number}")


def last4_blind(ring: KeyRing, number: str) -> bytes:
    """Finds by the last four characters of a normalised document number (or of what a searcher typed)."""
    return blind(ring, LAST_FOUR, number[-4:])


def is_index_rotated(ring: KeyRing) -> bool:
    """Whether there are older index keys: persons are found under either, until all are under the current one."""
    return len(ring.names("index")) > 1


def document_blinds(ring: KeyRing, document_type: DocumentType, number: str) -> list[bytes]:
    """The document under every index key."""
    return _under_all(ring, DOCUMENT, f"{document_type}:{number}")


def last4_blinds(ring: KeyRing, number: str) -> list[bytes]:
    """The last four characters under every index key."""
    return _under_all(ring, LAST_FOUR, number[-4:])


def _under_all(ring: KeyRing, purpose: str, value: str) -> list[bytes]:
    return [BlindIndex(ring, purpose, name).of(value) for name in ring.names("index")]


def reindex(ring: KeyRing, person: Person) -> bool:
    """Put the blind indexes of a person under the current key; False when they are already, or the person was erased."""
    known = opened(ring, person)
    if known is None:
        return False
    document = document_blind(ring, person.document_type, known.document_number)
    last_four = last4_blind(ring, known.document_number)
    if (document, last_four) == (person.document_blind, person.last4_blind):
        return False
    person.document_blind, person.last4_blind = document, last_four
    return True


def digest(ring: KeyRing, dossier: Dossier, inputs: Inputs) -> str:
    """Tells whether inputs of this file are the same, whichever keys wrap its own today, and nothing of what they are."""
    return inputs.digest(hmac.digest(_file_key(ring, dossier).data_key, _DIGEST, hashlib.sha256))


def key_of(ring: KeyRing, person: Person) -> PersonKey:
    """The person's data key. Raises SealBroken for an erased one."""
    return PersonKey.opened(ring, person.data_key_wrapped, person.key_version)


def _file_key(ring: KeyRing, dossier: Dossier) -> PersonKey:
    return PersonKey.opened(ring, dossier.data_key_wrapped, dossier.key_version)


def _birth_year(given: Particulars, number: str, on: date) -> int | None:
    if given.document_type is not DocumentType.RESIDENT_ID:
        return given.birth_year
    resident = _RESIDENT.fullmatch(number)
    if resident is None or int(resident[1]) > on.year:
        raise Invalid("document-refused", field="document_number")
    return int(resident[1])


def _seal(key: PersonKey, person_id: UUID, column: str, value: str) -> bytes:
    return key.seal(value, table=PERSONS, column=column, record=person_id)


def _open(key: PersonKey, person_id: UUID, column: str, sealed: bytes) -> str:
    return key.unseal(sealed, table=PERSONS, column=column, record=person_id)
