"""All that an approval rests on, read by one statement: asking for each thing alone costs more than the decision itself."""

# ruff: noqa: S608 -- the statement is made of constants

from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from shared.contracts.membership import EmploymentForm, Gender, MemberStatus
from shared.contracts.welfare import CaseStage, DossierStatus, HardshipClass
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.directory.members import MemberReference
from shared.security.acting import By
from shared.web.session import HOT_PREFIX
from welfare_service.cases.deciding import Grounds
from welfare_service.cases.domain import HANDS, AidCase, FlagReason, User
from welfare_service.programmes.domain import AmountRule, Programme, ProgrammeKind
from welfare_service.programmes.eligibility import units_of
from welfare_service.programmes.judging import Known, rule_of
from welfare_service.programmes.repository import AidBefore, aid_before_sql, year_of
from welfare_service.rules.domain import Rule, RuleKey, RuleSet

_CASE: Final = [column.name for column in fields(AidCase)]
_PROGRAMME: Final = [column.name for column in fields(Programme)]
_RULE: Final = [column.name for column in fields(Rule)]
_MEMBER: Final = ["u.path" if name == "path" else f"m.{name}" for name in MemberReference._fields]
_HANDS: Final = ", ".join(f"'{happening}'" for happening in sorted(HANDS))
# $2 the case, $3 and $4 the caller, $5 the day, $6 and $7 the year of the caps.
_READ: Final = f"""{HOT_PREFIX}, c AS MATERIALIZED (
    SELECT * FROM cases WHERE id = (SELECT $2::uuid FROM s)
), p AS MATERIALIZED (
    SELECT * FROM programmes WHERE id = (SELECT programme_id FROM c)
)
SELECT {", ".join(f"c.{name}" for name in _CASE)}, {", ".join(f"p.{name}" for name in _PROGRAMME)}, {", ".join(_MEMBER)},
    find_budget_path(p.budget_id) AS budget_path, aid.by_this, aid.by_any, aid.of_programme, aid.of_kind,
    dossier.status AS dossier_status, dossier.hardship_class, touched.issuers, touched.subjects, rules.held,
    (SELECT own.id FROM directory_members own JOIN directory_organisations at ON at.id = own.organisation_id
     WHERE own.user_subject = $4 AND own.user_issuer = $3 AND at.path IS NOT NULL) AS own_member_id
FROM c CROSS JOIN p
JOIN directory_members m ON m.id = c.member_id
JOIN directory_organisations u ON u.id = m.organisation_id AND u.path IS NOT NULL
LEFT JOIN LATERAL find_dossier_of_member(c.member_id) AS dossier ON true
CROSS JOIN LATERAL ({aid_before_sql("aid_of_member(c.member_id)", "p.id", "p.kind", "$6::date", "$7::date")}) AS aid
CROSS JOIN LATERAL (
    SELECT array_agg(actor_issuer) AS issuers, array_agg(actor_subject) AS subjects
    FROM case_history WHERE case_id = c.id AND happening IN ({_HANDS})
) AS touched
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_array({", ".join(f"r.{name}" for name in _RULE)}))::text AS held FROM rules AS r
    WHERE r.path = ANY (ARRAY(
        SELECT left(c.path, place) FROM generate_series(1, length(c.path)) AS place WHERE substr(c.path, place, 1) = '/'
    )) AND r.valid_from <= $5 AND (r.valid_to IS NULL OR r.valid_to >= $5)
) AS rules
"""
_PLACES: Final = "SELECT id, path FROM directory_organisations WHERE id = ANY ($1) AND path IS NOT NULL"


class Found(NamedTuple):
    """A case to be decided on, and all that speaks for and against it. The case is of no session: nothing writes it."""

    case: AidCase
    grounds: Grounds
    touched_by: frozenset[User]
    own_member_id: UUID | None
    budget_path: str


async def read(database: Database, scope: Scope, by: By, case_id: UUID) -> Found | None:
    """What is known at this moment; None when anything of it is not there, or not in sight."""
    async with database.driver() as connection:
        row = await connection.fetchrow(
            _READ, scope.setting(), case_id, by.issuer, by.subject, by.today, *year_of(by.today)
        )
        if row is None or row["budget_path"] is None:
            return None
        programme = _programme(row[len(_CASE) : len(_CASE) + len(_PROGRAMME)])
        named = units_of(rule_of(programme))
        places = await connection.fetch(_PLACES, list(named)) if named else []
    at = len(_CASE) + len(_PROGRAMME)
    known = Known(
        AidBefore(row["by_this"], row["by_any"], row["of_programme"], row["of_kind"]),
        HardshipClass(row["hardship_class"]) if row["dossier_status"] == DossierStatus.OPEN else None,
        {place["id"]: place["path"] for place in places},
    )
    member = _member(row[at : at + len(_MEMBER)])
    return Found(
        _case(row[: len(_CASE)]),
        Grounds(programme, member, known, RuleSet(_rules(row["held"] or "[]"))),
        frozenset(zip(row["issuers"] or (), row["subjects"] or (), strict=True)),
        row["own_member_id"],
        row["budget_path"],
    )


def _case(values: Sequence[Any]) -> AidCase:
    columns = dict(zip(_CASE, values, strict=True))
    flag = columns["flag_reason"]
    return AidCase(
        **columns
        | {"stage": CaseStage(columns["stage"]), "flag_reason": None if flag is None else FlagReason(flag)}
    )


def _programme(values: Sequence[Any]) -> Programme:
    columns = dict(zip(_PROGRAMME, values, strict=True))
    return Programme(
        **columns
        | {
            "kind": ProgrammeKind(columns["kind"]),
            "amount_rule": AmountRule(columns["amount_rule"]),
            "eligibility": orjson.loads(columns["eligibility"]),
        }
    )


def _member(values: Sequence[Any]) -> MemberReference:
    found = MemberReference(*values)
    return found._replace(
        status=MemberStatus(found.status),
        gender=Gender(found.gender),
        employment_form=EmploymentForm(found.employment_form),
    )


@lru_cache(maxsize=256)
def _rules(held: str) -> tuple[Rule, ...]:
    """The rules of this text. Remembered by all that stands in it, so never older than what was read just now."""
    return tuple(_rule(dict(zip(_RULE, values, strict=True))) for values in orjson.loads(held))


def _rule(columns: dict[str, Any]) -> Rule:
    until = columns["valid_to"]
    return Rule(
        **columns
        | {
            "id": UUID(columns["id"]),
            "organisation_id": UUID(columns["organisation_id"]),
            "key": RuleKey(columns["key"]),
            "valid_from": date.fromisoformat(columns["valid_from"]),
            "valid_to": None if until is None else date.fromisoformat(until),
        }
    )
