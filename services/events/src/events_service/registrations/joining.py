"""Asking for a seat, the hottest command: the whole transaction in one SQL statement.

Everybody meets on one row of seats, and its lock gives the order: who is first in it is first on the list. So the statement finds
the member and asks the audience before it takes that lock, and what comes after is short. It judges by rows alone; when it
gives nothing, an ordinary transaction explains why.
"""

# ruff: noqa: S608 -- the statements are made of constants of this module

from typing import Any, Final
from uuid import UUID

import asyncpg
from fastapi import Response

from events_service.activities import repository as activities
from events_service.activities.audience import welcomes
from events_service.activities.domain import Activity
from events_service.own import own_member
from events_service.registrations import repository
from events_service.registrations.schemas import RegisteredReply
from events_service.registrations.statements import SOURCE, STATE, TOPIC
from shared.contracts.events_service import ActivityStage, RegistrationStatus
from shared.database.session import ReadSession
from shared.directory.members import read_members, require_fresh
from shared.kernel.errors import Conflict, Forbidden, Unavailable
from shared.kernel.ids import new_id
from shared.observability.logs import request_id
from shared.observability.tracing import current_traceparent
from shared.security.acting import By
from shared.security.policy import Action
from shared.web.hot import FIRST_PARAMETER, HotCall, HotChoice

#: What can come of it; the number of the reply is the place in this list, from 1.
_OUTCOMES: Final = (RegistrationStatus.ENTERED, RegistrationStatus.CONFIRMED, RegistrationStatus.WAITING)
_LISTED: Final = ", ".join(f"'{status.value}'" for status in _OUTCOMES)
_PARAMETERS: Final = {
    "id": "uuid", "activity": "uuid", "at": "timestamptz", "on": "date", "issuer": "text", "subject": "text",
    "trace": "text",
    # For a member, by the organiser:
    "member": "uuid", "roots": "text[]", "request": "text",
}  # fmt: skip
_P: Final = {
    name: f"${FIRST_PARAMETER + place}::{kind}" for place, (name, kind) in enumerate(_PARAMETERS.items())
}
#: A member is shown the activity's place, whatever the posts: the audience is the right.
_OWN_PLACE: Final = f"""SELECT set_config('app.scope', found.path, true) AS scope
    FROM (SELECT find_activity_path({_P["activity"]}) AS path FROM s) AS found WHERE found.path IS NOT NULL"""
_OWN: Final = {
    "placed": _OWN_PLACE,
    "member": f"stay_member_of({_P['issuer']}, {_P['subject']})",
    "allowed": "true",
    "audited": "",
}
_FOR_MEMBER: Final = {
    "placed": "SELECT scope FROM s",
    "member": f"stay_member({_P['member']})",
    "allowed": f"a.path ^@ ANY ({_P['roots']})",
    "audited": f""", t AS (
    INSERT INTO audit_entries (actor_issuer, actor_subject, request_id, action, subject_kind, subject_id, path)
    SELECT {_P["issuer"]}, {_P["subject"]}, {_P["request"]}, 'registration.registered', 'registration', id, path FROM r
)""",
}


def _statement(way: dict[str, str]) -> HotChoice:
    """`placed` comes before whatever row-level security guards: ids to look for come out of it."""
    activity = f"(SELECT {_P['activity']} FROM placed)"
    parts = f""", placed AS MATERIALIZED ({way["placed"]}
), m AS MATERIALIZED (
    SELECT found.* FROM placed, {way["member"]} AS found
), fit AS MATERIALIZED (
    SELECT m.id AS member_id, CASE WHEN a.quotas = '[]' THEN 0 ELSE coalesce((
        SELECT q.pool FROM activity_seats q JOIN directory_organisations u ON u.id = q.unit_id
        WHERE q.activity_id = {activity} AND m.path ^@ u.path ORDER BY length(u.path) DESC LIMIT 1
    ), 0) END AS pool
    FROM m JOIN activities a ON a.id = {activity}
    WHERE {way["allowed"]} AND {welcomes(_P["on"])} AND (
        SELECT l.id FROM registrations l
        WHERE l.activity_id = {activity} AND l.member_id = m.id AND l.status <> 'cancelled' LIMIT 1
    ) IS NULL
), seat AS MATERIALIZED (
    SELECT fit.member_id, fit.pool, t.* FROM fit, take_seat({_P["activity"]}, fit.pool, {_P["at"]}) AS t
), r AS MATERIALIZED (
    SELECT {_P["id"]} AS id, {_P["activity"]} AS activity_id, member_id, organisation_id, path, pool, position, status,
        {_P["at"]} AS registered_at, false AS attended, NULL::smallint AS satisfaction,
        array_position(ARRAY[{_LISTED}], status) AS reply
    FROM seat
), i AS (
    INSERT INTO registrations
        (id, activity_id, member_id, organisation_id, path, pool, position, status, registered_at, attended, version)
    SELECT id, activity_id, member_id, organisation_id, path, pool, position, status, registered_at, attended, 1 FROM r
), h AS (
    INSERT INTO registration_history (registration_id, version, happening, happened_at, actor_issuer, actor_subject)
    SELECT id, 1, 'registered', {_P["at"]}, {_P["issuer"]}, {_P["subject"]} FROM r
), e AS (
    INSERT INTO outbox (event_id, topic, key, type, sequence, source, time, payload, traceparent)
    SELECT uuidv7(), '{TOPIC}', r.id, 'unionhall.events.registration.registered.v1', 1, '{SOURCE}', {_P["at"]},
        convert_to(json_build_object('on', {_P["on"]}, 'state', {STATE})::text, 'UTF8'), {_P["trace"]} FROM r
){way["audited"]}"""
    return HotChoice(parts, "r", "SELECT reply FROM r")


REGISTER_ONESELF: Final = _statement(_OWN)
REGISTER_MEMBER: Final = _statement(_FOR_MEMBER)


async def register_oneself(hot: HotCall, by: By, activity_id: UUID) -> Response:
    """Ask for a seat for the caller. Raises what `_explain` says."""
    response = await _run(REGISTER_ONESELF, hot, by, activity_id)
    if response is not None:
        return response
    async with hot.database.read(hot.scope) as session:
        member = await own_member(session, hot.caller)
        await _explain(session, by, await activities.get(session, activity_id), member.id)
    raise Unavailable("database-busy", retry_after=1)


async def register_member(
    hot: HotCall, by: By, activity_id: UUID, member_id: UUID, member_sequence: int | None
) -> Response:
    """Ask for a seat for a member, as the organiser. Raises StaleReplica, NotFound, and what `_explain` says."""
    roots = hot.caller.require_somewhere(Action.REGISTRATION_CHANGE)
    async with hot.database.read(hot.scope) as session:
        found = (await read_members(session, [member_id])).get(member_id)
    require_fresh(found, member_sequence)
    more = (member_id, list(roots), request_id.get())
    response = await _run(REGISTER_MEMBER, hot, by, activity_id, *more)
    if response is not None:
        return response
    async with hot.database.read(hot.scope) as session:
        activity = await activities.get(session, activity_id)
        hot.caller.require(Action.REGISTRATION_CHANGE, activity.path)
        await _explain(session, by, activity, member_id)
    raise Unavailable("database-busy", retry_after=1)


async def _run(statement: HotChoice, hot: HotCall, by: By, activity_id: UUID, *more: Any) -> Response | None:
    """The reply; None when the rows do not allow it."""
    registration_id = new_id()
    replies = [
        RegisteredReply(id=registration_id, activity_id=activity_id, status=status, version=1)
        for status in _OUTCOMES
    ]
    arguments: tuple[Any, ...] = (
        registration_id,
        activity_id,
        by.at,
        by.today,
        by.issuer,
        by.subject,
        current_traceparent(),
        *more,
    )
    try:
        return await statement.run(hot, *arguments, replies=replies, headers={"ETag": '"1"'})
    except asyncpg.UniqueViolationError:
        # The same member through another request, at the same time.
        return None


async def _explain(session: ReadSession, by: By, activity: Activity, member_id: UUID) -> None:
    """Raise why there is no seat to ask for; if there is by now, something moved just then: try again."""
    if await repository.find_live(session, activity.id, member_id):
        raise Conflict("registration-exists")
    if activity.stage in {
        ActivityStage.DRAFT,
        ActivityStage.SUBMITTED,
        ActivityStage.APPROVED,
        ActivityStage.PUBLISHED,
    }:
        raise Conflict("registration-not-open-yet")
    if activity.stage is not ActivityStage.OPEN or activity.registration_closes_at <= by.at:
        raise Conflict("registration-closed")
    if not await activities.is_welcome(session, activity.id, member_id, by.at):
        raise Forbidden("registration-out-of-audience")
