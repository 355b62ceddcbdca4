"""A checked row as it is staged: sealed, indexed, masked. The order of STAGED is the order of the COPY columns."""

from datetime import date
from typing import Final
from uuid import UUID

import orjson

from membership_service.members import names, sealing
from membership_service.rosters.checking import Person
from membership_service.rosters.copying import day, int4, jsonb, row, words
from membership_service.rosters.domain import CellProblem, Outcome
from shared.security.masking import mask_document

STAGED: Final = (
    "import_id",
    "row_number",
    "outcome",
    "problems",
    "member_id",
    "name",
    "name_pinyin",
    "name_initials",
    "other_pinyin",
    "other_initials",
    "document_type",
    "document_masked",
    "document_sealed",
    "document_blind",
    "last4_blind",
    "phone_sealed",
    "phone_blind",
    "birth_date_sealed",
    "data_key_wrapped",
    "key_version",
    "gender",
    "birth_year",
    "employment_form",
    "organisation_code",
    "joined_on",
)
_CREATED: Final = Outcome.CREATED.value.encode()
_REJECTED: Final = Outcome.REJECTED.value.encode()
#: Between the problems and the code of the unit.
_NOTHING: Final = (None,) * (STAGED.index("organisation_code") - 4)


def problems_json(problems: list[CellProblem]) -> bytes:
    """The problems of a row as the JSON that is staged and later served."""
    return orjson.dumps(
        [
            {
                "column": problem.column,
                "code": problem.code,
                "masked": problem.masked,
                "params": problem.params,
            }
            for problem in problems
        ]
    )


def rejected_row(import_id: UUID, row_number: int, problems: list[CellProblem], code: str | None) -> bytes:
    """COPY bytes of a row with problems: nothing of the person but masked cells. Whether the unit's code is good, SQL says."""
    what = jsonb(problems_json(problems))
    fields = (import_id.bytes, int4(row_number), _REJECTED, what, *_NOTHING, words(code), None)
    return row(fields, len(STAGED))


def ready_row(
    sealer: sealing.Sealer, import_id: UUID, row_number: int, person: Person, member_id: UUID
) -> bytes:
    """COPY bytes of a good row, sealed for the member id that it gets if the person is new, as most are."""
    sealed = sealer.seal(member_id, person.document_type, person.number, person.phone, person.birth_date)
    keys = names.keys(person.name)
    born: date | None = person.birth_date
    fields = (
        import_id.bytes,
        int4(row_number),
        _CREATED,
        None,
        member_id.bytes,
        person.name.encode(),
        keys.pinyin.encode(),
        keys.initials.encode(),
        words(keys.other_pinyin),
        words(keys.other_initials),
        person.document_type.encode(),
        mask_document(person.number).encode(),
        sealed.document_sealed,
        sealed.document_blind,
        sealed.last4_blind,
        sealed.phone_sealed,
        sealed.phone_blind,
        sealed.birth_date_sealed,
        sealed.data_key_wrapped,
        int4(sealed.key_version),
        person.gender.encode(),
        int4(born.year if born else None),
        words(person.employment_form),
        words(person.organisation_code),
        day(person.joined_on),
    )
    return row(fields, len(STAGED))
