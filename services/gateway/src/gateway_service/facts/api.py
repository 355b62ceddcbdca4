"""A member's timeline, straight from the facts."""

from datetime import datetime
from typing import Final
from uuid import UUID

from gateway_service.consumers import VIEWS
from gateway_service.facts import repository
from gateway_service.facts.repository import Fact
from gateway_service.facts.schemas import Timeline, TimelineEntry
from shared.contracts.envelope import Topic
from shared.contracts.events_service import REGISTRATIONS
from shared.contracts.membership import MEMBERS
from shared.contracts.welfare import CASES, DOSSIERS
from shared.kernel.errors import NotFound
from shared.kernel.texts import Language, has_text, text
from shared.messaging.freshness import as_of
from shared.security.policy import Action, Caller
from shared.web.caller import CurrentCaller
from shared.web.language import CurrentLanguage
from shared.web.paging import PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import Keys, Read

router = api_router("/api/v1/members", "views")

#: What a reader of a timeline must be allowed, where the member is, to see the facts of a topic: the same as to read those
#: things of their owner. Hardship is for few, and who goes to which activity for those who arrange it.
_READ_BY: Final[dict[Topic, Action]] = {
    MEMBERS: Action.TIMELINE_READ,
    REGISTRATIONS: Action.REGISTRATION_READ,
    CASES: Action.CASE_READ,
    DOSSIERS: Action.DOSSIER_READ,
}
_NOT_SHOWN: Final = frozenset({"member_ids", "user"})


@router.get("/{member_id}/timeline")
async def timeline(
    member_id: UUID,
    caller: CurrentCaller,
    session: Read,
    page: PageQuery,
    keys: Keys,
    language: CurrentLanguage,
) -> Timeline:
    """What happened to a member, newest first: membership and, for those who may read them of their owners, activities and aid.

    Who may read what follows from where the member is now.
    """
    path = await repository.path_of_member(session, member_id)
    if path is None:
        raise NotFound("not-found")
    caller.require(Action.TIMELINE_READ, path)
    purpose = f"timeline|{member_id}"
    after = page.after(keys, purpose)
    before = (datetime.fromisoformat(after[0]), int(after[1])) if after else None
    rows = await repository.timeline_page(session, member_id, _topics(caller, path), before, page.limit + 1)
    shown, next_cursor = page_of(
        rows, page.limit, keys, purpose, lambda fact: (fact.time.isoformat(), fact.id)
    )
    return Timeline(
        items=[_entry(fact, language) for fact in shown],
        next_cursor=next_cursor,
        as_of=await as_of(session, VIEWS),
    )


def _topics(caller: Caller, path: str) -> list[str]:
    """The topics whose facts the caller may read of a member who is at `path`."""
    return [topic.name for topic, action in _READ_BY.items() if caller.allows(action, path)]


def _entry(fact: Fact, language: Language) -> TimelineEntry:
    data = fact.data or {}
    # Who else belongs to a household is in its dossier, not in one member's timeline.
    state = {name: value for name, value in data.get("state", {}).items() if name not in _NOT_SHOWN}
    # "unionhall.membership.member.admitted.v1" has the text "timeline-member-admitted".
    code = "timeline-" + "-".join(fact.type.split(".")[2:-1])
    return TimelineEntry(
        event_id=fact.event_id,
        type=fact.type,
        title=text(code if has_text(code) else "timeline-other", language),
        at=fact.time,
        on=data.get("on"),
        organisation_id=state.get("organisation_id"),
        details=data | {"state": state} if data else {},
    )
