"""Routes of rules. Everybody with a post reads them; administrators set them for their units."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response, status

from shared.directory.organisations import path_of_organisation, subtrees
from shared.kernel.clock import china_date
from shared.kernel.errors import NotFound
from shared.kernel.ids import new_id
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Change, Once
from shared.web.conditional import set_etag
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import CurrentClock, Keys, Read
from welfare_service.rules import repository, use_cases
from welfare_service.rules.domain import Rule, RuleKey
from welfare_service.rules.schemas import DefaultsBody, EndBody, RuleBody, RuleReply, RulesReply

router = api_router("/api/v1/rules", "rules")


@router.get("")
async def list_rules(
    page: PageQuery,
    session: Read,
    caller: CurrentCaller,
    ring: Keys,
    organisation: Annotated[UUID | None, Query(description="this unit and all below it")] = None,
    key: RuleKey | None = None,
) -> Page[RuleReply]:
    """Rules that units of a subtree set, past and future ones too, by place in the tree."""
    roots = await subtrees(session, caller, Action.RULE_READ, organisation)
    purpose = f"rules:{roots}:{key}"
    values = page.after(ring, purpose)
    after = (values[0], UUID(values[1])) if values else None
    found = await repository.page(session, roots, key, after, page.limit + 1)
    shown, cursor = page_of(found, page.limit, ring, purpose, lambda rule: [rule.path, str(rule.id)])
    return Page(items=[RuleReply.of(rule) for rule in shown], next_cursor=cursor)


@router.get("/effective")
async def effective(
    session: Read, caller: CurrentCaller, clock: CurrentClock, organisation: UUID, on: date | None = None
) -> RulesReply:
    """What holds for a unit on a day (by default today): of each key the rule of the nearest unit upwards."""
    path = await path_of_organisation(session, organisation)
    if path is None:
        raise NotFound("not-found")
    caller.require(Action.RULE_READ, path)
    found = await use_cases.rule_set(session, path, on or china_date(clock.now()))
    return RulesReply(items=[RuleReply.of(rule) for rule in found.rules()])


@router.get("/{rule_id}")
async def get_rule(rule_id: UUID, session: Read, caller: CurrentCaller, response: Response) -> RuleReply:
    """One rule, also one that was set above the caller's units: it may hold for them."""
    caller.require_somewhere(Action.RULE_READ)
    rule = await repository.get(session, rule_id)
    set_etag(response, rule.version)
    return RuleReply.of(rule)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create(body: RuleBody, call: Once) -> RuleReply:
    """Set a rule for a unit and all below it."""
    rule = await use_cases.create(call.session, call.caller, Rule(id=new_id(), path="", **body.model_dump()))
    call.leaves(rule.version)
    return RuleReply.of(rule)


@router.post("/defaults")
async def load_defaults(body: DefaultsBody, call: Once) -> RulesReply:
    """Give a unit the defaults where it has no rule of its own; the reply holds those that were made."""
    made = await use_cases.load_defaults(call.session, call.caller, body.organisation_id)
    return RulesReply(items=[RuleReply.of(rule) for rule in made])


@router.post("/{rule_id}/end")
async def end(rule_id: UUID, body: EndBody, call: Change) -> RuleReply:
    """Let a rule be valid up to and including a day."""
    rule = await use_cases.end(call.session, call.caller, rule_id, call.version, body.on)
    call.leaves(rule.version)
    return RuleReply.of(rule)
