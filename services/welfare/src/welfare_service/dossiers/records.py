"""What is kept beside a dossier: decisions on its class, and tasks to look at it again. Pure: no IO."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from shared.contracts.welfare import HardshipClass
from shared.kernel.errors import Conflict
from shared.security.acting import By
from welfare_service.rules.domain import RuleKey, UsedRule


class ReviewKind(StrEnum):
    """Why somebody is to look at a dossier again."""

    YEARLY = "yearly"
    MEMBER = "member"


class Outcome(StrEnum):
    """What a review came to."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    CLOSED = "closed"


@dataclass(eq=False, kw_only=True)
class Decision:
    """One decision on the class: the sealed inputs, their hash, and the rules by id and version; so it can be recomputed."""

    id: UUID
    dossier_id: UUID
    version: int
    decided_on: date
    decided_at: datetime
    decided_by_issuer: str
    decided_by_subject: str
    hardship_class: HardshipClass
    inputs_digest: str
    inputs_sealed: bytes
    rules: list[list[str | int]]

    @property
    def used(self) -> tuple[UsedRule, ...]:
        """The rules it rests on."""
        return tuple(
            UsedRule(RuleKey(str(key)), UUID(str(id_)), int(version)) for key, id_, version in self.rules
        )


def kept(used: tuple[UsedRule, ...]) -> list[list[str | int]]:
    """As a row keeps the rules that were looked up."""
    return [[rule.key.value, str(rule.id), rule.version] for rule in used]


@dataclass(eq=False, kw_only=True)
class Review:
    """A task. `reason` is a code; a member's review names the member it is about."""

    id: UUID
    dossier_id: UUID
    organisation_id: UUID
    path: str
    kind: ReviewKind
    reason: str
    member_id: UUID | None = None
    since: datetime
    due_on: date | None
    done_at: datetime | None = None
    done_by_issuer: str | None = None
    done_by_subject: str | None = None
    outcome: str | None = None

    def complete(self, outcome: Outcome, by: By) -> None:
        """Say what it came to. Raises Conflict once that was said."""
        if self.done_at is not None:
            raise Conflict("review-already-done")
        self.done_at, self.outcome = by.at, outcome.value
        self.done_by_issuer, self.done_by_subject = by.issuer, by.subject
