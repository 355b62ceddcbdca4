"""Asking for a seat, the hottest command: the whole transaction in one SQL statement, and one statement for all who ask at once.

Everybody meets on one row of seats, and its lock gives the order: who is first in it is first on the list. So the statement finds
the members and asks the audience before it takes that lock, and what comes after is short; and who asks for a seat of an activity
while others are under way goes with all who wait (`shared.web.gathering`). It judges by rows alone; whom it gives nothing, an
ordinary transaction tells why.
"""

# ruff: noqa: S608 -- the statements are made of constants of this module

from collections.abc import Awaitable, Callable, Sequence
from typing import Final
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
from shared.database.engine import Database
from shared.database.scope import Scope
from shared.database.session import ReadSession
from shared.directory.members import read_members, require_fresh
from shared.kernel.errors import Conflict, Forbidden, Unavailable
from shared.kernel.ids import new_id
from shared.observability.logs import request_id
from shared.observability.tracing import current_traceparent
from shared.security.acting import By
from shared.security.policy import Action
from shared.web.gathering import Gathering
from shared.web.hot import FIRST_PARAMETER, Choosing, HotCall, HotChoice

_TRIES: Final = 2
#: What can come of it; the number of the reply is the place in this list, from 1.
_OUTCOMES: Final = (RegistrationStatus.ENTERED, RegistrationStatus.CONFIRMED, RegistrationStatus.WAITING)
_LISTED: Final = ", ".join(f"'{status.value}'" for status in _OUTCOMES)
#: An array each, a value for each who asks; `nth` is the place of who asks in them, in the order of asking.
_EACH: Final = {
    "id": "uuid", "at": "timestamptz", "on": "date", "issuer": "text", "subject": "text", "trace": "text",
}  # fmt: skip
#: Of all who ask together; after the activity what an organiser gives, who asks alone.
_ALL: Final = {"activity": "uuid", "member": "uuid", "roots": "text[]", "request": "text"}
_IDS: Final = f"${FIRST_PARAMETER}::uuid[]"
_P: Final = {
    name: f"(${number}::{kind}[])[nth]" for number, (name, kind) in enumerate(_EACH.items(), FIRST_PARAMETER)
} | {
    name: f"${number}::{kind}"
    for number, (name, kind) in enumerate(_ALL.items(), FIRST_PARAMETER + len(_EACH))
}
#: A member is shown the activity's place, whatever the posts: the audience is the right.
_OWN_PLACE: Final = f"""SELECT set_config('app.scope', found.path, true) AS scope
    FROM (SELECT find_activity_path({_P["activity"]}) AS path FROM s) AS found WHERE found.path IS NOT NULL"""
_OWN: Final = {
    "placed": _OWN_PLACE,
    "member": f"""(
        SELECT d.id FROM directory_members d WHERE d.user_subject = {_P["subject"]} AND d.user_issuer = {_P["issuer"]} LIMIT 1
    )""",
    # The account may have been another's until the row was locked.
    "allowed": f"m.user_subject = {_P['subject']} AND m.user_issuer = {_P['issuer']}",
    "audited": "",
}
_FOR_MEMBER: Final = {
    "placed": "SELECT scope FROM s",
    "member": _P["member"],
    "allowed": f"a.path ^@ ANY ({_P['roots']})",
    "audited": f""", t AS (
    INSERT INTO audit_entries (actor_issuer, actor_subject, request_id, action, subject_kind, subject_id, path)
    SELECT {_P["issuer"]}, {_P["subject"]}, {_P["request"]}, 'registration.registered', 'registration', id, path FROM r
)""",
}


def _statement(way: dict[str, str]) -> HotChoice:
    """`placed` comes before whatever row-level security guards: ids to look for come out of it.

    Locks are taken in one order by all: members by id, as what is heard of members writes them, then seats by pool. How many ask
    stands in a sub-select, where the planner does not see it: one plan serves them all, and costs more to make than to run.
    """
    activity = f"(SELECT {_P['activity']} FROM placed)"
    parts = f""", placed AS MATERIALIZED ({way["placed"]}
), known AS MATERIALIZED (
    SELECT nth, {way["member"]} AS id
    FROM placed, (SELECT n::int AS nth FROM unnest((SELECT {_IDS} FROM s)) WITH ORDINALITY AS u (id, n)) AS asked ORDER BY 2
), m AS MATERIALIZED (
    SELECT known.nth, found.* FROM known, stay_member(known.id) AS found
), act AS MATERIALIZED (
    SELECT a.* FROM activities a WHERE a.id = {activity}
), fit AS MATERIALIZED (
    SELECT nth, member_id, pool FROM (
        SELECT DISTINCT ON (m.id) nth, m.id AS member_id, CASE WHEN a.quotas = '[]' THEN 0 ELSE coalesce((
            SELECT q.pool FROM activity_seats q JOIN directory_organisations u ON u.id = q.unit_id
            WHERE q.activity_id = {activity} AND m.path ^@ u.path ORDER BY length(u.path) DESC LIMIT 1
        ), 0) END AS pool
        FROM m, act AS a
        WHERE {way["allowed"]} AND {welcomes(_P["on"])} AND (
            SELECT l.id FROM registrations l
            WHERE l.activity_id = {activity} AND l.member_id = m.id AND l.status <> 'cancelled' LIMIT 1
        ) IS NULL
        ORDER BY m.id, nth
    ) AS once ORDER BY pool, nth
), seat AS MATERIALIZED (
    SELECT fit.nth, fit.member_id, fit.pool, t.* FROM fit, take_seat({_P["activity"]}, fit.pool, {_P["at"]}) AS t
), r AS MATERIALIZED (
    SELECT nth, {_P["id"]} AS id, {_P["activity"]} AS activity_id, member_id, organisation_id, path, pool, position, status,
        {_P["at"]} AS registered_at, false AS attended, NULL::smallint AS satisfaction,
        array_position(ARRAY[{_LISTED}], status) AS reply
    FROM seat
), i AS (
    INSERT INTO registrations
        (id, activity_id, member_id, organisation_id, path, pool, position, status, registered_at, attended, version)
    SELECT id, activity_id, member_id, organisation_id, path, pool, position, status, registered_at, attended, 1 FROM r
), h AS (
    INSERT INTO registration_history (registration_id, version, happening, happened_at, actor_issuer, actor_subject)
    SELECT id, 1, 'registered', registered_at, {_P["issuer"]}, {_P["subject"]} FROM r
), e AS (
    INSERT INTO outbox (event_id, topic, key, type, sequence, source, time, payload, traceparent)
    SELECT uuidv7(), '{TOPIC}', r.id, 'unionhall.events.registration.registered.v1', 1, '{SOURCE}', registered_at,
        convert_to(json_build_object('on', {_P["on"]}, 'state', {STATE})::text, 'UTF8'), {_P["trace"]} FROM r
){way["audited"]}"""
    return HotChoice(parts, "r", len(_OUTCOMES))


REGISTER_ONESELF: Final = _statement(_OWN)
REGISTER_MEMBER: Final = _statement(_FOR_MEMBER)


async def _register_all(
    place: tuple[Database, UUID], choosing: Sequence[Choosing]
) -> Sequence[Response | None]:
    database, activity_id = place
    return await REGISTER_ONESELF.run(database, Scope.nothing(), choosing, activity_id)


_TOGETHER: Final = Gathering(_register_all)


async def register_oneself(hot: HotCall, by: By, activity_id: UUID) -> Response:
    """Ask for a seat for the caller. Raises what `_explain` says."""

    async def together() -> Response | None:
        return await _TOGETHER.ask((hot.database, activity_id), _choosing(hot, by, activity_id))

    async def explain(session: ReadSession) -> None:
        member = await own_member(session, hot.caller)
        await _explain(session, by, await activities.get(session, activity_id), member.id)

    return await _asked(hot, together, explain)


async def register_member(
    hot: HotCall, by: By, activity_id: UUID, member_id: UUID, member_sequence: int | None
) -> Response:
    """Ask for a seat for a member, as the organiser. Raises StaleReplica, NotFound, and what `_explain` says."""
    roots = hot.caller.require_somewhere(Action.REGISTRATION_CHANGE)
    async with hot.database.read(hot.scope) as session:
        found = (await read_members(session, [member_id])).get(member_id)
    require_fresh(found, member_sequence)

    async def alone() -> Response | None:
        shared = (activity_id, member_id, list(roots), request_id.get())
        choosing = [_choosing(hot, by, activity_id)]
        [response] = await REGISTER_MEMBER.run(hot.database, hot.scope, choosing, *shared)
        return response

    async def explain(session: ReadSession) -> None:
        activity = await activities.get(session, activity_id)
        hot.caller.require(Action.REGISTRATION_CHANGE, activity.path)
        await _explain(session, by, activity, member_id)

    return await _asked(hot, alone, explain)


async def _asked(
    hot: HotCall,
    ask: Callable[[], Awaitable[Response | None]],
    explain: Callable[[ReadSession], Awaitable[None]],
) -> Response:
    """The reply. Raises Replay or Invalid for a repeated key, and what `explain` finds in the way.

    What was in the way may have gone when it is looked for: a member who is admitted just then, say. Then it is asked once more.
    """
    for _ in range(_TRIES):
        try:
            response = await ask()
        except asyncpg.UniqueViolationError:
            # The same request or the same member in another process, at the same time.
            response = None
        if response is not None:
            return response
        await hot.replay()
        async with hot.database.read(hot.scope) as session:
            await explain(session)
    raise Unavailable("database-busy", retry_after=1)


def _choosing(hot: HotCall, by: By, activity_id: UUID) -> Choosing:
    registration_id = new_id()
    replies = [
        RegisteredReply(id=registration_id, activity_id=activity_id, status=status, version=1)
        for status in _OUTCOMES
    ]
    values = (registration_id, by.at, by.today, by.issuer, by.subject, current_traceparent())
    return Choosing(hot, *values, replies=replies, headers={"ETag": '"1"'})


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
