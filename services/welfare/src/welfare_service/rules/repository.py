"""Every query of rules."""

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

from sqlalchemy import literal, or_, select, tuple_

from shared.database.paths import ancestors, in_subtree
from shared.database.session import ReadSession, WriteSession
from shared.kernel.errors import NotFound
from welfare_service.rules.domain import Rule, RuleKey
from welfare_service.rules.tables import rules

#: Rows of a list after the last one of the page before: (path, id).
After = tuple[str, UUID]


async def get(session: ReadSession, rule_id: UUID) -> Rule:
    """One rule. Raises NotFound."""
    return _found(await session.get(Rule, rule_id))


async def get_for_change(session: WriteSession, rule_id: UUID) -> Rule:
    """One rule, locked until the transaction ends."""
    return _found(await session.get(Rule, rule_id, with_for_update=True))


async def effective(session: ReadSession, path: str, on: date) -> Sequence[Rule]:
    """The rules of the unit at `path` and of all above it that are valid on a day."""
    valid = (rules.c.valid_from <= on, or_(rules.c.valid_to.is_(None), rules.c.valid_to >= on))
    return (await session.scalars(select(Rule).where(rules.c.path.in_(ancestors(path)), *valid))).all()


async def of_ids(session: ReadSession, ids: Collection[UUID]) -> Sequence[Rule]:
    """The rules with these ids, whatever became of them."""
    return (await session.scalars(select(Rule).where(rules.c.id.in_(ids)))).all()


async def keys_of_unit(session: ReadSession, organisation_id: UUID) -> set[RuleKey]:
    """The keys of which a unit has a rule of its own, valid whenever."""
    found = select(rules.c.key).where(rules.c.organisation_id == organisation_id).distinct()
    return set(await session.scalars(found))


async def page(
    session: ReadSession, roots: Sequence[str], key: RuleKey | None, after: After | None, limit: int
) -> Sequence[Rule]:
    """Up to `limit` rules of the subtrees `roots` (sorted, none within another) after `after`, by path and id."""
    found: list[Rule] = []
    for root in roots:
        if after and root <= after[0] and not after[0].startswith(root):
            continue
        conditions = [in_subtree(rules.c.path, root)]
        if after:
            conditions.append(
                tuple_(rules.c.path, rules.c.id)
                > tuple_(literal(after[0], rules.c.path.type), literal(after[1]))
            )
        if key:
            conditions.append(rules.c.key == key)
        listed = select(Rule).where(*conditions).order_by(rules.c.path, rules.c.id)
        found.extend(await session.scalars(listed.limit(limit - len(found))))
        if len(found) >= limit:
            break
    return found


def _found(rule: Rule | None) -> Rule:
    if rule is None:
        raise NotFound("not-found")
    return rule
