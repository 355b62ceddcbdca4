"""A stored judgement on a case, judged again from what it kept: the terms, facts, aid and rules of its own day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from shared.contracts.membership import EmploymentForm, Gender, MemberStatus
from shared.contracts.welfare import HardshipClass
from shared.database.session import ReadSession
from shared.directory.members import MemberReference
from shared.kernel.errors import DomainError, NotFound
from shared.kernel.money import Fen
from welfare_service.cases import repository
from welfare_service.cases.deciding import Decision, Grounds, decide_on
from welfare_service.cases.domain import AidCase, HistoryEntry
from welfare_service.membership_client import MemberDetail
from welfare_service.programmes import repository as programmes
from welfare_service.programmes.domain import AmountRule, Programme, ProgrammeKind, ProgrammeVersion
from welfare_service.programmes.eligibility import months_before, units_of
from welfare_service.programmes.judging import Known
from welfare_service.programmes.reading import parse
from welfare_service.rules.domain import RuleSet
from welfare_service.rules.use_cases import rule_set_of

_YEAR: Final = 12
#: What is compared; of a rule the row, whose value never changes, though it may end.
_COMPARED: Final = ("programme_version", "amount_fen", "levels_up", "age_exact", "facts", "aid_before")


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A judgement and what its own grounds give today: in `differs` the parts that come out otherwise, none when it is the same.

    `refused` is the code for which it would not be granted.
    """

    entry: HistoryEntry
    kept: Mapping[str, Any]
    differs: tuple[str, ...]
    refused: str | None = None


async def recompute(session: ReadSession, case: AidCase) -> Recomputed:
    """The newest judgement (at approval, before that at submission), judged again. Raises NotFound before there is one."""
    entry = await repository.last_judgement(session, case.id)
    if entry is None or entry.decision is None:
        raise NotFound("not-found")
    kept = entry.decision
    version = await programmes.version(session, case.programme_id, int(kept["programme_version"]))
    rules = await rule_set_of(session, [UUID(rule["id"]) for rule in kept["rules"]])
    paths = await _paths(session, version, kept["facts"])
    amount, on = Fen(int(kept["amount_fen"])), date.fromisoformat(kept["facts"]["on"])
    try:
        again = decide_on(_grounds(case, version, kept, rules, paths), amount, _detail(case, kept, on), on)
    except DomainError as error:
        return Recomputed(entry, kept, ("refused",), error.code)
    return Recomputed(entry, kept, _differences(case, kept, again))


def _differences(case: AidCase, kept: Mapping[str, Any], again: Decision) -> tuple[str, ...]:
    found = [name for name in _COMPARED if kept[name] != again.kept[name]]
    if {rule["id"] for rule in kept["rules"]} != {rule["id"] for rule in again.kept["rules"]}:
        found.append("rules")
    if case.approved_fen is not None and case.approved_fen != kept["amount_fen"]:
        found.append("approved_fen")
    return tuple(found)


async def _paths(
    session: ReadSession, version: ProgrammeVersion, facts: Mapping[str, Any]
) -> Mapping[UUID, str]:
    """Where the units that the rule names stood at the time."""
    if "units" in facts:
        return {UUID(unit): path for unit, path in facts["units"].items()}
    return await programmes.paths_of(session, units_of(parse(version.terms["eligibility"])))


def _grounds(
    case: AidCase,
    version: ProgrammeVersion,
    kept: Mapping[str, Any],
    rules: RuleSet,
    paths: Mapping[UUID, str],
) -> Grounds:
    facts, before = kept["facts"], kept["aid_before"]
    on = date.fromisoformat(facts["on"])
    member = MemberReference(
        case.member_id,
        case.organisation_id,
        facts["path"],
        MemberStatus.ACTIVE,
        Gender(facts["gender"]),
        None if facts["age"] is None else on.year - facts["age"],
        EmploymentForm(facts["employment_form"]),
        _day(facts["joined_on"]),
        None,
        0,
    )
    aid = programmes.AidBefore(
        _day(facts["helped_by_this"]),
        _day(facts["helped_by_any"]),
        before["year_of_programme_fen"],
        before["year_of_kind_fen"],
    )
    known = Known(aid, HardshipClass(facts["hardship_class"]), paths)
    return Grounds(_programme(case, version), member, known, rules)


def _programme(case: AidCase, version: ProgrammeVersion) -> Programme:
    terms = version.terms
    return Programme(
        id=case.programme_id,
        organisation_id=version.organisation_id,
        path=case.path,
        budget_id=UUID(terms["budget_id"]),
        name=terms["name"],
        kind=ProgrammeKind(terms["kind"]),
        starts_on=date.fromisoformat(terms["starts_on"]),
        ends_on=date.fromisoformat(terms["ends_on"]),
        amount_rule=AmountRule(terms["amount_rule"]),
        fixed_fen=terms["fixed_fen"],
        cap_per_time_fen=terms["cap_per_time_fen"],
        cap_per_year_fen=terms["cap_per_year_fen"],
        eligibility=terms["eligibility"],
        version=version.version,
        created_at=version.happened_at,
        updated_at=version.happened_at,
    )


def _detail(case: AidCase, kept: Mapping[str, Any], on: date) -> MemberDetail | None:
    """What membership said, as far as it was asked: of the birth the age was kept, and any day that gives it will do."""
    if not kept["age_exact"]:
        return None
    age = kept["facts"]["age"]
    born = None if age is None else months_before(on, age * _YEAR)
    return MemberDetail(case.member_id, "", born, MemberStatus.ACTIVE, case.organisation_id, 0)


def _day(written: str | None) -> date | None:
    return None if written is None else date.fromisoformat(written)
