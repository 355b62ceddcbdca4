"""What one can do with rules: look them up for a place and a day, set them, end them, begin with the defaults."""

import tomllib
from collections.abc import Collection, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from shared.database.failures import violated_constraint
from shared.database.session import ReadSession, WriteSession
from shared.directory.organisations import place_of_organisation
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.ids import new_id
from shared.security.policy import Action, Caller
from shared.web.conditional import require_version
from welfare_service.rules import repository
from welfare_service.rules.domain import Rule, RuleKey, RuleSet, Value, check


class Defaults(NamedTuple):
    """The rules that an installation begins with."""

    valid_from: date
    source: str
    values: dict[RuleKey, Value]


async def rule_set(session: ReadSession, path: str, on: date) -> RuleSet:
    """The rules for the unit at `path` on the date of the fact: of each key the nearest jurisdiction upwards."""
    return RuleSet(await repository.effective(session, path, on))


async def rule_set_of(session: ReadSession, ids: Collection[UUID]) -> RuleSet:
    """The very rules that a decision named, as they were: a value never changes."""
    return RuleSet(await repository.of_ids(session, ids))


async def create(session: WriteSession, caller: Caller, rule: Rule) -> Rule:
    """Set a rule for a unit and all below it; its path is found here.

    Raises Invalid for a value or days that cannot be, Conflict("rule-overlaps") where the unit has one for some of the days.
    """
    rule.path = await _place(session, caller, rule.organisation_id)
    check(rule.key, rule.value, rule.valid_from, rule.valid_to)
    session.add(rule)
    await _flush(session)
    session.audit("rule.create", "rule", rule.id, {"key": rule.key.value}, path=rule.path)
    return rule


async def end(session: WriteSession, caller: Caller, rule_id: UUID, version: int, on: date) -> Rule:
    """Let a rule be valid up to and including a day."""
    rule = await repository.get_for_change(session, rule_id)
    caller.require(Action.RULE_CHANGE, rule.path)
    require_version(version, rule.version)
    rule.end(on)
    await _flush(session)
    session.audit("rule.end", "rule", rule.id, {"key": rule.key.value, "on": on.isoformat()}, path=rule.path)
    return rule


async def load_defaults(session: WriteSession, caller: Caller, organisation_id: UUID) -> Sequence[Rule]:
    """Give a unit the defaults for every key of which it has no rule of its own; those made. Again makes none."""
    path = await _place(session, caller, organisation_id)
    known = await repository.keys_of_unit(session, organisation_id)
    given = defaults()
    made = [
        Rule(
            id=new_id(),
            organisation_id=organisation_id,
            path=path,
            key=key,
            value=value,
            valid_from=given.valid_from,
            source=given.source,
        )
        for key, value in given.values.items()
        if key not in known
    ]
    session.add_all(made)
    await _flush(session)
    for rule in made:
        session.audit("rule.create", "rule", rule.id, {"key": rule.key.value}, path=path)
    return made


@cache
def defaults() -> Defaults:
    """What `defaults.toml` says, each value checked."""
    read = tomllib.loads((files("welfare_service.rules") / "defaults.toml").read_text("utf-8"))
    values = {RuleKey(key): value for key, value in read["rules"].items()}
    for key, value in values.items():
        check(key, value, read["valid_from"], None)
    return Defaults(read["valid_from"], read["source"], values)


async def _place(session: WriteSession, caller: Caller, organisation_id: UUID) -> str:
    path = await place_of_organisation(session, organisation_id)
    if path is None:
        raise NotFound("not-found")
    caller.require(Action.RULE_CHANGE, path)
    return path


async def _flush(session: WriteSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        if violated_constraint(error) == "ex_rules_validity":
            raise Conflict("rule-overlaps", field="valid_from") from None
        raise
