"""Judges one member by a programme's rule, from what this service knows and what membership says of the day of birth."""

from datetime import date
from typing import Any, NamedTuple

from shared.contracts.welfare import HardshipClass
from shared.database.session import ReadSession
from shared.directory.members import MemberReference
from welfare_service.dossiers.use_cases import class_of_member
from welfare_service.programmes import repository
from welfare_service.programmes.domain import Programme
from welfare_service.programmes.eligibility import Facts, Reason, reasons, units_of
from welfare_service.programmes.reading import parse
from welfare_service.programmes.repository import AidBefore


class Judgement(NamedTuple):
    """Why not (empty: eligible), the facts that it rests on, as JSON, so that it can be judged again, and the aid before."""

    reasons: list[Reason]
    facts: dict[str, Any]
    before: AidBefore


async def judge(
    session: ReadSession, programme: Programme, member: MemberReference, age: int | None, today: date
) -> Judgement:
    """Judge `member` on `today`; `age` in whole years, None when the birth is unknown."""
    rule = parse(programme.eligibility)
    before = await repository.aid_before(session, member.id, programme, today)
    hardship = await class_of_member(session, member.id)
    facts = Facts(
        age=age,
        gender=member.gender,
        employment_form=member.employment_form,
        path=member.path,
        joined_on=member.joined_on,
        hardship_class=hardship or HardshipClass.NONE,
        helped_by_this=before.by_this,
        helped_by_any=before.by_any,
    )
    paths = await repository.paths_of(session, units_of(rule))
    return Judgement(reasons(rule, facts, today, paths), _written(facts, today), before)


def age_on(day: date, born: date | None) -> int | None:
    """Whole years on a day. Who was born on 29 February turns a year older on 1 March of a common year."""
    return None if born is None else day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def age_by_year(day: date, birth_year: int | None) -> int | None:
    """The age reached in the course of the year: all that previews know."""
    return None if birth_year is None else day.year - birth_year


def _written(facts: Facts, today: date) -> dict[str, Any]:
    shown = {name: getattr(facts, name) for name in Facts.__dataclass_fields__}
    dates = {name: value.isoformat() for name, value in shown.items() if isinstance(value, date)}
    return shown | dates | {"on": today.isoformat()}
