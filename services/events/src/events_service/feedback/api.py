"""Routes of feedback. Thin: parse, call one use case or query, show."""

from uuid import UUID, uuid4

from fastapi import status

from events_service.activities import repository as activities
from events_service.feedback import repository, use_cases
from events_service.feedback.schemas import CommentReply, FeedbackBody, FeedbackReply, SummaryReply
from shared.security.policy import Action
from shared.web.caller import CurrentCaller
from shared.web.change import Once
from shared.web.paging import Page, PageQuery, page_of
from shared.web.routing import api_router
from shared.web.session import Keys, Read

router = api_router("/api/v1/activities", "feedback")
registrations_router = api_router("/api/v1/registrations", "feedback")


@registrations_router.post("/{registration_id}/feedback", status_code=status.HTTP_200_OK)
async def give(registration_id: UUID, body: FeedbackBody, call: Once) -> FeedbackReply:
    """Say how it was; saying it again replaces what was said, until the activity is archived."""
    given = await use_cases.give(
        call.session, call.caller, call.by, call.ring, uuid4(), registration_id, body.score, body.comment
    )
    return FeedbackReply(
        registration_id=registration_id,
        score=body.score,
        comment=body.comment or None,
        given_at=given.given_at,
        changed_at=given.changed_at,
    )


@router.get("/{activity_id}/feedback")
async def get_summary(activity_id: UUID, session: Read, caller: CurrentCaller) -> SummaryReply:
    """How those who were there found it."""
    activity = await activities.get(session, activity_id)
    caller.require(Action.REGISTRATION_READ, activity.path)
    return SummaryReply.of(await repository.summary_of(session, activity_id))


@router.get("/{activity_id}/feedback/comments")
async def list_comments(
    activity_id: UUID, page: PageQuery, session: Read, caller: CurrentCaller, ring: Keys
) -> Page[CommentReply]:
    """What they wrote, without names and in no telling order; nothing while fewer than five wrote."""
    activity = await activities.get(session, activity_id)
    caller.require(Action.REGISTRATION_READ, activity.path)
    purpose = f"comments:{activity_id}"
    values = page.after(ring, purpose)
    found = await repository.comments(
        session, activity_id, UUID(values[0]) if values else None, page.limit + 1
    )
    rows, cursor = page_of(found, page.limit, ring, purpose, lambda row: [str(row.id)])
    items = [CommentReply(id=row.id, comment=use_cases.comment_of(ring, row)) for row in rows]
    return Page(items=items, next_cursor=cursor)
