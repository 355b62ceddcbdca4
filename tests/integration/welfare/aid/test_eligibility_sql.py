"""The rule as SQL says of all what the rule alone says of each; a preview is one pass over the members."""

import random
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg

from shared.contracts.membership import EmploymentForm, Gender
from shared.contracts.welfare import HardshipClass
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.directory.members import read_members
from shared.kernel.errors import Invalid
from shared.kernel.ids import new_id
from shared.security.acting import By
from tests.support.aid import Aid
from tests.support.welfare import Member, Unit
from welfare_service.programmes import repository
from welfare_service.programmes.eligibility import Rule
from welfare_service.programmes.judging import age_by_year, judge
from welfare_service.programmes.reading import parse

_DOSSIER = """
    INSERT INTO dossiers (id, number, organisation_id, path, status, primary_cause, exclusions, hardship_class, data_key_wrapped,
        key_version, version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, 'illness', '[]', $6, '', 1, 1, now(), now())
"""
_PERSON = """
    INSERT INTO dossier_persons (id, dossier_id, member_id, relation, health, insurance, occupation, is_able, document_type,
        key_version, entered_on, is_standing)
    VALUES ($1, $2, $3, 'head', 'good', 'none', 'none', true, 'resident_id', 1, '2026-01-01', true)
"""


async def _stand(
    connection: asyncpg.Connection, member: Member, hardship: HardshipClass, status: str
) -> None:
    dossier = new_id()
    await connection.execute(
        _DOSSIER, dossier, str(dossier)[-12:], member.unit.id, member.unit.path, status, hardship
    )
    await connection.execute(_PERSON, new_id(), dossier, member.id)


def _leaf(chance: random.Random, units: list[Unit]) -> dict[str, Any]:
    low = chance.randint(20, 60)
    return chance.choice(
        [
            {"hardship_class": chance.sample(list(HardshipClass), 2)},
            {"gender": [chance.choice(list(Gender))]},
            {"employment_form": chance.sample(list(EmploymentForm), 2)},
            {"age": {"min": low, "max": low + chance.randint(0, 30)}},
            {"member_months": chance.randint(1, 80)},
            {"within": str(chance.choice(units).id)},
            {"not_helped": {"months": chance.randint(1, 24), "by": chance.choice(["this", "any"])}},
        ]
    )


def _rule(chance: random.Random, units: list[Unit], depth: int = 0) -> dict[str, Any]:
    if depth == 2 or chance.random() < 0.3:
        return _leaf(chance, units)
    parts = [_rule(chance, units, depth + 1) for _ in range(chance.randint(1, 3))]
    return chance.choice([{"all": parts}, {"any": parts}, {"not": parts[0]}])


async def _people(aid: Aid, chance: random.Random, units: list[Unit]) -> list[Member]:
    members = []
    for _ in range(32):
        member = await aid.member(
            at=chance.choice(units),
            gender=chance.choice(list(Gender)),
            birth_year=chance.choice([None, chance.randint(1940, 2008)]),
            employment_form=chance.choice(list(EmploymentForm)),
            joined_on=chance.choice([None, date(chance.randint(2019, 2026), chance.randint(1, 3), 5)]),
        )
        members.append(member)
        if chance.random() < 0.5:
            hardship = chance.choice(list(HardshipClass))
            async with aid.welfare.connected("owner") as connection:
                await _stand(connection, member, hardship, chance.choice(["open", "draft"]))
    return members


async def test_sql_and_rule_say_the_same_of_everybody(aid: Aid, app_database: Database) -> None:
    chance = random.Random(20260316)
    below = await aid.welfare.unit(aid.unit)
    units = [aid.unit, below, await aid.welfare.unit(below), await aid.welfare.unit(aid.unit)]
    members = await _people(aid, chance, units)
    programmes = [await aid.programme(), await aid.programme()]
    for member in members[::4]:
        await aid.approved(chance.choice(programmes), member)
    by = By("i", "s", aid.welfare.clock.now())
    # Helped half a year ago, on the very day that a rule may ask for, or today.
    async with aid.welfare.connected() as connection:
        await connection.execute(
            "UPDATE cases SET approved_on = approved_on - ('x' || substr(id::text, 35))::bit(8)::int WHERE path ^@ $1",
            aid.unit.path,
        )
    tried = 0
    while tried < 24:
        try:
            rule = parse(written := _rule(chance, units))
        except Invalid:
            continue
        tried += 1
        judged = await _judged(app_database, aid, programmes[0]["id"], rule, written, members, by)
        assert judged == await _selected(app_database, aid, programmes[0]["id"], rule, by), written


async def _judged(
    database: Database,
    aid: Aid,
    programme_id: str,
    rule: Rule,
    written: dict[str, Any],
    members: list[Member],
    by: By,
) -> int:
    async with database.read(Scope((aid.unit.path,))) as session:
        programme = await repository.get(session, UUID(programme_id))
        session.expunge(programme)
        programme.eligibility = written
        found = await read_members(session, [member.id for member in members])
        fit = 0
        for member in found.values():
            age = age_by_year(by.today, member.birth_year)
            fit += not (await judge(session, programme, member, age, by.today)).reasons
    return fit


async def _selected(database: Database, aid: Aid, programme_id: str, rule: Rule, by: By) -> int:
    async with database.read(Scope((aid.unit.path,))) as session:
        counts = await repository.preview(session, rule, UUID(programme_id), aid.unit.path, by.today)
    return sum(count.people for count in counts)
