"""Judges one member by a programme's rule, from what this service knows and what membership says of the day of birth."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from shared.contracts.welfare import HardshipClass
from shared.database.session import ReadSession
from shared.directory.members import MemberReference
from welfare_service.dossiers.use_cases import class_of_member
from welfare_service.programmes import repository
from welfare_service.programmes.domain import Programme
from welfare_service.programmes.eligibility import Facts, Reason, Rule, reasons, units_of
from welfare_service.programmes.reading import parse
from welfare_service.programmes.repository import AidBefore


class Judgement(NamedTuple):
    """Why not (empty: eligible), the facts that it rests on, as JSON, so that it can be judged again, and the aid before."""

    reasons: list[Reason]
    facts: dict[str, Any]
    before: AidBefore


class Known(NamedTuple):
    """What this service knows of a member beside the replica; where the units stand that the programme's rule names."""

    before: AidBefore
    hardship: HardshipClass | None
    paths: Mapping[UUID, str]


async def judge(
    session: ReadSession, programme: Programme, member: MemberReference, age: int | None, today: date
) -> Judgement:
    """Judge `member` on `today`; `age` in whole years, None when the birth is unknown."""
    return judge_by(programme, member, await known_of(session, programme, member.id, today), age, today)


async def known_of(session: ReadSession, programme: Programme, member_id: UUID, today: date) -> Known:
    """What `judge_by` asks for."""
    return Known(
        await repository.aid_before(session, member_id, programme, today),
        await class_of_member(session, member_id),
        await repository.paths_of(session, units_of(rule_of(programme))),
    )


def judge_by(
    programme: Programme, member: MemberReference, known: Known, age: int | None, today: date
) -> Judgement:
    """The judgement itself, without asking anybody."""
    facts = Facts(
        age=age,
        gender=member.gender,
        employment_form=member.employment_form,
        path=member.path,
        joined_on=member.joined_on,
        hardship_class=known.hardship or HardshipClass.NONE,
        helped_by_this=known.before.by_this,
        helped_by_any=known.before.by_any,
    )
    written = _written(facts, today) | {"units": {str(unit): path for unit, path in known.paths.items()}}
    return Judgement(reasons(rule_of(programme), facts, today, known.paths), written, known.before)


def rule_of(programme: Programme) -> Rule:
    """The programme's rule. Reading one tries it on every kind of member, so what was read is remembered by its text."""
    return _read(orjson.dumps(programme.eligibility))


@lru_cache(maxsize=1024)
def _read(written: bytes) -> Rule:
    return parse(orjson.loads(written))


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
