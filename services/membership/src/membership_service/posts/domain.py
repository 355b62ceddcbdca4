"""A post: a role of a user at an organisation and all below it, from one day to another. Pure: no IO."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self
from uuid import UUID

from shared.contracts.membership import Role
from shared.kernel.errors import Conflict, Forbidden, Invalid
from shared.security.acting import By


@dataclass(frozen=True, slots=True)
class Holder:
    """A user, as the identity provider names him."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class Term:
    """From the first to the last day; without a last day, until further notice."""

    starts_on: date
    ends_on: date | None


@dataclass(eq=False, kw_only=True)
class Post:
    """Rights come from posts alone. `ends_on` is the last day on which it holds; before `starts_on`, it never held."""

    id: UUID
    issuer: str
    subject: str
    role: Role
    organisation_id: UUID
    path: str
    starts_on: date
    ends_on: date | None = None
    version: int = 1

    @classmethod
    def grant(
        cls,
        *,
        post_id: UUID,
        holder: Holder,
        role: Role,
        organisation_id: UUID,
        path: str,
        term: Term,
        by: By,
    ) -> Self:
        """A new post. Nobody grants one to himself; rights are not given for days that are over."""
        if (holder.issuer, holder.subject) == (by.issuer, by.subject):
            raise Forbidden("post-to-oneself")
        if term.starts_on < by.today:
            raise Invalid("date-in-past", field="starts_on", today=by.today.isoformat())
        if term.ends_on is not None and term.ends_on < term.starts_on:
            raise Invalid("post-ends-before-start", field="ends_on")
        return cls(
            id=post_id,
            issuer=holder.issuer,
            subject=holder.subject,
            role=role,
            organisation_id=organisation_id,
            path=path,
            starts_on=term.starts_on,
            ends_on=term.ends_on,
        )

    def end(self, last_day: date | None, by: By) -> None:
        """Let it hold until `last_day`, and no longer; without a day it ends at once, so yesterday was the last.

        Nobody ends his own post: so an administrator cannot lock a unit out by a slip.
        """
        if (self.issuer, self.subject) == (by.issuer, by.subject):
            raise Forbidden("post-own")
        yesterday = by.today - timedelta(days=1)
        day = last_day or yesterday
        if day < yesterday:
            raise Invalid("date-in-past", field="ends_on", today=by.today.isoformat())
        if self.ends_on is not None and self.ends_on <= day:
            raise Conflict("post-ended")
        self.ends_on = day
        self.version += 1
