"""What is known of a person in plain words, checked as a whole; only `sealing` turns it into what is stored."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from membership_service.members import documents, names, phones
from membership_service.members.documents import DocumentType
from shared.contracts.membership import EmploymentForm, Gender
from shared.kernel.errors import FieldProblem, Invalid

#: Work below this age is child labour (Labour Law of the PRC, art. 15), so nobody younger can be a member.
MINIMUM_AGE: Final = 16
EARLIEST_BIRTH: Final = date(1900, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A checked person; every text is normalised. `warnings` are text codes that refuse nothing."""

    name: str
    document_type: DocumentType
    document_number: str
    phone: str | None
    gender: Gender
    birth_date: date | None
    employment_form: EmploymentForm
    warnings: tuple[str, ...] = ()


def check_person(
    *,
    name: str,
    document_type: DocumentType,
    document_number: str,
    phone: str | None,
    gender: Gender | None,
    birth_date: date | None,
    employment_form: EmploymentForm,
    today: date,
) -> Person:
    """Check everything at once; raises Invalid("person-invalid") naming each wrong field.

    A resident ID says birth date and gender itself: given ones must agree. Other documents leave them as given.
    """
    problems: list[FieldProblem] = []
    good_name = names.normalise(name)
    if good_name is None:
        problems.append(FieldProblem("name", "name-invalid"))
    checked = documents.check(document_type, document_number, today)
    if checked.problem:
        problems.append(FieldProblem("document_number", checked.problem))
    good_phone = phones.normalise(phone) if phone else None
    if phone and good_phone is None:
        problems.append(FieldProblem("phone", "phone-invalid"))
    if checked.birth_date and birth_date and birth_date != checked.birth_date:
        problems.append(FieldProblem("birth_date", "birth-date-differs"))
    if checked.gender and gender not in {None, Gender.UNKNOWN, checked.gender}:
        problems.append(FieldProblem("gender", "gender-differs"))
    born = checked.birth_date or birth_date
    if born and (problem := birth_problem(born, today)):
        problems.append(FieldProblem("birth_date", problem, {"age": MINIMUM_AGE}))
    if problems or good_name is None:
        raise Invalid("person-invalid", problems=tuple(problems))
    return Person(
        name=good_name,
        document_type=document_type,
        document_number=checked.number,
        phone=good_phone,
        gender=checked.gender or gender or Gender.UNKNOWN,
        birth_date=born,
        employment_form=employment_form,
        warnings=checked.warnings,
    )


def birth_problem(born: date, today: date) -> str | None:
    """Why nobody born on that day can join today, as a text code, or None."""
    if not EARLIEST_BIRTH <= born <= today:
        return "document-birth-date"
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return "person-too-young" if age < MINIMUM_AGE else None
