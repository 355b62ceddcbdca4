"""Founds the units of a sheet, all or none. First every row is judged and every fault named, then everything is written."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from membership_service.organisations import repository
from membership_service.organisations.domain import Numbered, Organisation
from membership_service.organisations.schemas import Code, Name
from membership_service.organisations.sheet import SheetRow
from membership_service.organisations.use_cases import write_new
from shared.contracts.membership import OrganisationKind
from shared.database.session import WriteSession
from shared.kernel.errors import DomainError, FieldProblem, Invalid
from shared.kernel.ids import new_id
from shared.security.acting import By
from shared.security.policy import Action, Caller

#: More faults than these are not listed; nobody reads on.
_MAX_PROBLEMS: Final = 200
#: Units after which the process gets to its other requests.
_BREATHE: Final = 500
_KINDS: Final[Mapping[str, OrganisationKind]] = {
    "全国": OrganisationKind.NATIONAL,
    "省级": OrganisationKind.PROVINCIAL,
    "市级": OrganisationKind.CITY,
    "县级": OrganisationKind.COUNTY,
    "乡镇": OrganisationKind.TOWNSHIP,
    "街道": OrganisationKind.TOWNSHIP,
    "行业": OrganisationKind.INDUSTRY,
    "联合": OrganisationKind.JOINT,
    "企业": OrganisationKind.ENTERPRISE,
    "分会": OrganisationKind.BRANCH,
    "小组": OrganisationKind.GROUP,
    **{kind.value: kind for kind in OrganisationKind},
}
_CODE: Final[TypeAdapter[str]] = TypeAdapter(Code)
_NAME: Final[TypeAdapter[str]] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class NewUnit:
    """A row that can be read. `parent_code` is None for a row directly below the unit that the import names."""

    number: int
    code: str
    name: str
    kind: OrganisationKind
    parent_code: str | None
    founded_on: date


async def import_tree(
    session: WriteSession, caller: Caller, by: By, under: UUID, rows: Sequence[SheetRow]
) -> tuple[int, int]:
    """Found what the rows name below `under`: (created, unchanged). Raises Invalid("sheet-has-errors") naming rows."""
    await repository.lock_tree(session)
    top = await repository.get_to_stand_on(session, under)
    caller.require(Action.ORGANISATION_CHANGE, top.path)
    top.must_stand()
    units = read_units(rows, by.today)
    named = {unit.code for unit in units} | {unit.parent_code for unit in units if unit.parent_code}
    known = await _known_below(session, top, named)
    ordered = arrange(units, known)
    return await _found(session, by, top, ordered, known)


def read_units(rows: Sequence[SheetRow], today: date) -> list[NewUnit]:
    """The rows as units. Raises Invalid naming every field that cannot be read; an empty founding day is today."""
    units: list[NewUnit] = []
    problems: list[FieldProblem] = []
    for row in rows:
        found = [
            _problem(row, field, code)
            for field, code, good in (
                ("code", "sheet-code-malformed", _fits(_CODE, row.code)),
                ("name", "sheet-name-malformed", _fits(_NAME, row.name)),
                ("kind", "sheet-kind-unknown", row.kind.lower() in _KINDS),
                ("parent_code", "sheet-code-malformed", not row.parent_code or _fits(_CODE, row.parent_code)),
                (
                    "founded_on",
                    "sheet-date-malformed",
                    not row.founded_on or _day(row.founded_on) is not None,
                ),
            )
            if not good
        ]
        problems += found
        if not found:
            units.append(
                NewUnit(
                    row.number,
                    row.code.upper(),
                    row.name,
                    _KINDS[row.kind.lower()],
                    row.parent_code.upper() or None,
                    _day(row.founded_on) or today,
                )
            )
    _refuse(problems)
    return units


def arrange(units: Sequence[NewUnit], known: Collection[str]) -> list[NewUnit]:
    """Parents before children. Raises Invalid for a code twice, a parent that nobody knows, a circle of parents."""
    by_code: dict[str, NewUnit] = {}
    problems: list[FieldProblem] = []
    for unit in units:
        if unit.code in by_code:
            problems.append(_problem(unit, "code", "sheet-code-twice", first=by_code[unit.code].number))
        by_code.setdefault(unit.code, unit)
    problems += [
        _problem(unit, "parent_code", "sheet-parent-unknown")
        for unit in units
        if unit.parent_code and unit.parent_code not in by_code and unit.parent_code not in known
    ]
    _refuse(problems)
    ordered: dict[str, NewUnit] = {}
    for unit in units:
        chain: dict[str, NewUnit] = {}
        current: NewUnit | None = unit
        while current and current.code not in ordered and current.code not in chain:
            chain[current.code] = current
            current = by_code.get(current.parent_code or "")
        if current and current.code in chain:
            problems.append(_problem(unit, "parent_code", "sheet-parent-circle"))
        ordered |= dict(reversed(chain.items()))
    _refuse(problems)
    return list(ordered.values())


async def _known_below(
    session: WriteSession, top: Organisation, codes: Collection[str]
) -> dict[str, Organisation]:
    """The units of the tree that the sheet names and that stand at or below `top`, held."""
    seen = await repository.by_codes(session, codes)
    held = await repository.get_many_to_stand_on(session, {organisation.id for organisation in seen.values()})
    return {
        organisation.code: organisation for organisation in held if organisation.path.startswith(top.path)
    }


async def _found(
    session: WriteSession, by: By, top: Organisation, units: Sequence[NewUnit], known: dict[str, Organisation]
) -> tuple[int, int]:
    problems: list[FieldProblem] = []
    created: list[Organisation] = []
    numbers = iter(await repository.next_numbers(session, sum(unit.code not in known for unit in units)))
    standing = dict(known)
    for unit in units:
        parent = standing.get(unit.parent_code, top) if unit.parent_code else top
        old = known.get(unit.code)
        if old is not None:
            if (old.name, old.kind, old.parent_id) != (unit.name, unit.kind, parent.id):
                problems.append(_problem(unit, "code", "sheet-unit-differs"))
            continue
        number = next(numbers)
        try:
            organisation = Organisation.found(
                organisation_id=new_id(),
                numbered=Numbered(number, repository.path_for(parent, number)),
                code=unit.code,
                name=unit.name,
                kind=unit.kind,
                parent=parent,
                founded_on=unit.founded_on,
                today=by.today,
            )
        except DomainError as refusal:
            problems.append(_problem(unit, "", refusal.code, **refusal.params))
            continue
        standing[unit.code] = organisation
        created.append(organisation)
        if len(created) % _BREATHE == 0:
            await asyncio.sleep(0)
    _refuse(problems)
    await write_new(session, created, by)
    return len(created), len(units) - len(created)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return None


def _fits(adapter: TypeAdapter[str], text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True


def _problem(row: SheetRow | NewUnit, field: str, code: str, **params: str | int) -> FieldProblem:
    return FieldProblem(f"rows/{row.number}/{field}".rstrip("/"), code, params)


def _refuse(problems: Sequence[FieldProblem]) -> None:
    if problems:
        raise Invalid("sheet-has-errors", problems=tuple(problems[:_MAX_PROBLEMS]), count=len(problems))
