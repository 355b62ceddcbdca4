"""Asking to join, the hottest command: the whole transaction in one SQL statement.

It writes what `Member.apply` says of a new applicant (a test compares the two) and adds the unit's path of the moment.
A unit that may not be joined leaves the path empty, which breaks the statement as a whole: nothing is kept of it.
"""

from typing import Final
from uuid import UUID

import asyncpg
from fastapi import Response

from membership_service.members import events, repository, sealing
from membership_service.members.domain import Act, Details
from membership_service.members.people import Person
from membership_service.members.schemas import ApplicationReply
from membership_service.organisations import repository as organisations
from shared.contracts.membership import MemberStatus
from shared.database.failures import violated_constraint
from shared.database.session import OUTBOX_COLUMNS, ReadSession, outbox_row
from shared.kernel.errors import Unavailable
from shared.kernel.ids import new_id
from shared.observability.logs import request_id
from shared.security.acting import By
from shared.security.policy import Action, Caller
from shared.web.hot import FIRST_PARAMETER, HotCall, HotCommand

DOCUMENT_TAKEN: Final = "uq_members_document_blind"

#: Columns of a new applicant that the command gives, with the type of each parameter.
_PERSON: Final = {
    "name": "text", "name_pinyin": "text", "name_initials": "text", "other_pinyin": "text", "other_initials": "text",
    "document_type": "text", "document_sealed": "bytea", "document_blind": "bytea", "last4_blind": "bytea",
    "phone_sealed": "bytea", "phone_blind": "bytea", "birth_date_sealed": "bytea", "data_key_wrapped": "bytea",
    "key_version": "smallint", "gender": "text", "birth_year": "smallint", "employment_form": "text",
}  # fmt: skip
_OUTBOX: Final = dict(
    zip(
        OUTBOX_COLUMNS,
        ("uuid", "text", "uuid", "text", "bigint", "text", "timestamptz", "bytea", "text"),
        strict=True,
    )
)


def _parameters(names: dict[str, str], first: int) -> tuple[str, int]:
    """ "$9::text, $10::bytea" for typed columns, and the number after the last."""
    typed = ", ".join(f"${first + place}::{kind}" for place, kind in enumerate(names.values()))
    return typed, first + len(names)


_person, _next = _parameters(_PERSON, FIRST_PARAMETER)
_outbox, _next = _parameters(_OUTBOX, _next)
_member, _unit, _roots, _at, _on, _issuer, _subject, _request = (f"${_next + place}" for place in range(8))

#: The unit is looked up by a value that comes out of `s`, so that its row-level security sees the scope; it is locked against a
#: move, which would otherwise leave this member behind under the old path.
APPLY: Final = HotCommand(f""", unit AS (
    SELECT o.id, o.path FROM organisations AS o
    WHERE o.id = (SELECT {_unit}::uuid FROM s) AND o.dissolved_on IS NULL AND o.path ^@ ANY ({_roots}::text[])
    FOR SHARE OF o
), m AS (
    INSERT INTO members (id, {", ".join(_PERSON)}, status, organisation_id, path, applied_at, applied_by_issuer,
        applied_by_subject, version, created_at, updated_at)
    SELECT {_member}::uuid, {_person}, 'applied', {_unit}::uuid, (SELECT path FROM unit), {_at}::timestamptz, {_issuer}::text,
        {_subject}::text, 1, {_at}::timestamptz, {_at}::timestamptz
    FROM s RETURNING id, path
), a AS (
    INSERT INTO affiliations (member_id, from_version, organisation_id) SELECT id, 1, {_unit}::uuid FROM m
), h AS (
    INSERT INTO member_history (member_id, version, happening, happened_at, on_date, organisation_id, actor_issuer, actor_subject)
    SELECT id, 1, 'applied', {_at}::timestamptz, {_on}::date, {_unit}::uuid, {_issuer}::text, {_subject}::text FROM m
), t AS (
    INSERT INTO audit_entries (actor_issuer, actor_subject, request_id, action, subject_kind, subject_id, path)
    SELECT {_issuer}::text, {_subject}::text, {_request}::text, 'member.applied', 'member', id, path FROM m
), e AS (
    INSERT INTO outbox ({", ".join(OUTBOX_COLUMNS)}) SELECT {_outbox} FROM m
)
SELECT id FROM m""")  # noqa: S608 -- made of the constants above


class DocumentTaken(Exception):
    """The document is registered already: to be judged in an ordinary transaction (`use_cases.apply_again`)."""


async def apply(hot: HotCall, by: By, organisation_id: UUID, person: Person) -> Response:
    """Write an application and give its reply. Raises DocumentTaken, NotFound, Forbidden, Conflict("organisation-dissolved")."""
    roots = hot.caller.require_somewhere(Action.MEMBER_APPLY)
    member_id = new_id()
    details: Details = sealing.details(hot.claim.ring, member_id, person)
    event = events.applied_anew(member_id, details, organisation_id, Act(by, by.today))
    reply = ApplicationReply(
        id=member_id,
        organisation_id=organisation_id,
        status=MemberStatus.APPLIED,
        version=1,
        warnings=list(person.warnings),
    )
    columns = details.columns()
    await _refuse_under_older_keys(hot, person)
    try:
        _, response = await APPLY.run(
            hot,
            *(columns[name] for name in _PERSON),
            *outbox_row(event),
            member_id,
            organisation_id,
            roots,
            by.at,
            by.today,
            by.issuer,
            by.subject,
            request_id.get(),
            reply=reply,
            headers={"ETag": '"1"'},
        )
    except asyncpg.UniqueViolationError as error:
        if violated_constraint(error) == DOCUMENT_TAKEN:
            raise DocumentTaken from None
        raise
    except (asyncpg.NotNullViolationError, asyncpg.InsufficientPrivilegeError):
        async with hot.database.read(hot.scope) as session:
            await _explain(session, hot.caller, organisation_id)
        raise
    return response


async def _refuse_under_older_keys(hot: HotCall, person: Person) -> None:
    """While index keys are rotated the unique index guards the current one only."""
    ring = hot.claim.ring
    if len(ring.names("index")) == 1:
        return
    older = sealing.document_blinds(ring, person.document_type, person.document_number)[1:]
    async with hot.database.read(hot.scope) as session:
        if await repository.find_by_document(session, older):
            raise DocumentTaken


async def _explain(session: ReadSession, caller: Caller, organisation_id: UUID) -> None:
    """Raise why the unit cannot be joined; if it can by now, it was just being moved: try again."""
    unit = await organisations.get(session, organisation_id)
    caller.require(Action.MEMBER_APPLY, unit.path)
    unit.must_stand()
    raise Unavailable("database-busy", retry_after=1)
