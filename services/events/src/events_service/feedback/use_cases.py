"""What one can do with feedback: one function per verb, each in the transaction that it is given."""

from typing import Final
from uuid import UUID

from events_service.activities import repository as activities
from events_service.feedback import domain, repository
from events_service.feedback.domain import Feedback
from events_service.own import own_member
from events_service.registrations import repository as registrations
from events_service.registrations.use_cases import rate
from shared.database.session import WriteSession
from shared.kernel.errors import Conflict, NotFound
from shared.security.acting import By
from shared.security.fields import PersonKey
from shared.security.keys import KeyRing
from shared.security.policy import Caller

_TABLE: Final = "feedback"
_COLUMN: Final = "comment_sealed"


async def give(
    session: WriteSession,
    caller: Caller,
    by: By,
    ring: KeyRing,
    feedback_id: UUID,
    registration_id: UUID,
    score: int,
    comment: str | None,
) -> Feedback:
    """A member who was there says how it was; saying it again replaces what was said. `feedback_id` is a random id."""
    member = await own_member(session, caller)
    registration = await registrations.get(session, registration_id)
    if registration.member_id != member.id:
        raise NotFound("not-found")
    if not registration.attended:
        raise Conflict("registration-not-attended")
    await session.widen_scope(registration.path)
    domain.must_be_open((await activities.get(session, registration.activity_id)).stage)
    given = await repository.get_for_change(session, registration_id)
    if given is None:
        given = Feedback(
            registration_id=registration_id,
            id=feedback_id,
            activity_id=registration.activity_id,
            given_at=by.at,
            changed_at=by.at,
        )
        repository.add(session, given)
    given.changed_at = by.at
    _seal(ring, given, comment)
    await session.flush()
    # Read again: the row is locked now, a twin may have changed it before.
    if (await registrations.get(session, registration_id)).satisfaction != score:
        await rate(session, registration_id, score, by)
    return given


def comment_of(ring: KeyRing, given: Feedback) -> str:
    """The words of a comment. Raises SealBroken."""
    if given.comment_sealed is None:
        return ""
    key = PersonKey.opened(ring, given.data_key_wrapped, given.key_version or 0)
    return key.unseal(given.comment_sealed, table=_TABLE, column=_COLUMN, record=given.registration_id)


def _seal(ring: KeyRing, given: Feedback, comment: str | None) -> None:
    """Free text may hold what nobody else should read: under a key of its own, wrapped like those of persons."""
    if not comment:
        given.comment_sealed = given.data_key_wrapped = given.key_version = None
        return
    key = PersonKey.new(ring)
    given.comment_sealed = key.seal(comment, table=_TABLE, column=_COLUMN, record=given.registration_id)
    given.data_key_wrapped, given.key_version = key.wrapped, key.version
