"""What a service knows of members without asking membership: where they belong, and what an audience is chosen by."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from shared.contracts.membership import EmploymentForm, Gender, MemberStatus
from shared.database.session import ReadSession
from shared.kernel.errors import NotFound, StaleReplica

_COLUMNS = """
    member.id, member.organisation_id, organisation.path, member.status, member.gender, member.birth_year,
    member.employment_form, member.joined_on, member.left_on, member.sequence
    FROM directory_members member JOIN directory_organisations organisation ON organisation.id = member.organisation_id
    WHERE organisation.path IS NOT NULL
"""
_BY_IDS = text(f"SELECT {_COLUMNS} AND member.id = ANY(:ids)")
_BY_USER = text(f"SELECT {_COLUMNS} AND member.user_subject = :subject AND member.user_issuer = :issuer")


class MemberReference(NamedTuple):
    """A member as the replica has it; `sequence` is the version seen, for commands that need fresher facts."""

    id: UUID
    organisation_id: UUID
    path: str
    status: MemberStatus
    gender: Gender
    birth_year: int | None
    employment_form: EmploymentForm
    joined_on: date | None
    left_on: date | None
    sequence: int


async def read_members(session: ReadSession, ids: Sequence[UUID]) -> dict[UUID, MemberReference]:
    """The references of these members by id; unknown ones are missing. Not scoped: the caller checks the path."""
    rows = await session.execute(_BY_IDS, {"ids": list(ids)})
    return {row.id: _reference(row) for row in rows}


async def read_own_member(session: ReadSession, issuer: str, subject: str) -> MemberReference | None:
    """The member who signs in with this account, if there is one."""
    row = (await session.execute(_BY_USER, {"issuer": issuer, "subject": subject})).first()
    return _reference(row) if row else None


def require_fresh(found: MemberReference | None, seen: int | None) -> MemberReference:
    """The reference, if it is at least the version `seen` by who sent the command.

    Raises StaleReplica when it is older (or not here yet), NotFound when nobody claims to have seen the member.
    """
    if seen is not None and (found is None or found.sequence < seen):
        raise StaleReplica
    if found is None:
        raise NotFound("not-found")
    return found


def _reference(row: tuple[object, ...]) -> MemberReference:
    found = MemberReference(*row)  # type: ignore[arg-type]
    return found._replace(
        status=MemberStatus(found.status),
        gender=Gender(found.gender),
        employment_form=EmploymentForm(found.employment_form),
    )
