"""A transfer: asked for by the member or either side, released by the old unit, accepted by the new. Pure: no IO.

Unanswered for 15 days it escalates to the lowest unit above both, which may then decide alone, so that a dead employer
holds nobody.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from shared.contracts.membership import MemberStatus
from shared.kernel.errors import Conflict

DAYS_TO_ANSWER: Final = timedelta(days=15)


class TransferState(StrEnum):
    """How far a transfer is."""

    REQUESTED = "requested"
    RELEASED = "released"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    CANCELLED = "cancelled"


#: States in which a transfer still waits for somebody.
OPEN: Final = frozenset({TransferState.REQUESTED, TransferState.RELEASED})


@dataclass(eq=False, kw_only=True)
class Transfer:
    """One asked-for move. Both paths are where the units stand today, as long as the transfer is open.

    The member's number is for both sides: the new one does not see the member yet.
    """

    id: UUID
    member_id: UUID
    member_number: str | None = None
    from_organisation_id: UUID
    from_path: str
    to_organisation_id: UUID
    to_path: str
    state: TransferState = TransferState.REQUESTED
    status_before: MemberStatus
    reason: str
    requested_by_issuer: str
    requested_by_subject: str
    requested_at: datetime
    due_at: datetime
    released_at: datetime | None = None
    escalated_at: datetime | None = None
    ended_at: datetime | None = None
    answer: str | None = None
    version: int = 1

    @property
    def common_path(self) -> str:
        """The lowest unit above both sides (one of them, when it stands above the other)."""
        return common_path(self.from_path, self.to_path)

    def release(self, at: datetime) -> None:
        """The old unit lets the member go."""
        self._must(frozenset({TransferState.REQUESTED}))
        self.state, self.released_at = TransferState.RELEASED, at
        self.version += 1

    def accept(self, at: datetime, *, from_above: bool) -> None:
        """The new unit takes the member. `from_above`: decided by the common upper unit after escalation, unreleased too."""
        allowed = OPEN if from_above and self.escalated_at else frozenset({TransferState.RELEASED})
        if self.state is TransferState.REQUESTED and self.state not in allowed:
            raise Conflict("transfer-not-released")
        self._must(allowed)
        self._end(TransferState.ACCEPTED, at, None)

    def refuse(self, at: datetime, answer: str) -> None:
        """Either side says no, with a reason."""
        self._must(OPEN)
        self._end(TransferState.REFUSED, at, answer)

    def cancel(self, at: datetime, answer: str) -> None:
        """Who asked takes it back."""
        self._must(OPEN)
        self._end(TransferState.CANCELLED, at, answer)

    def _end(self, state: TransferState, at: datetime, answer: str | None) -> None:
        self.state, self.ended_at, self.answer = state, at, answer
        self.version += 1

    def _must(self, states: frozenset[TransferState]) -> None:
        if self.state not in states:
            raise Conflict("transfer-ended")


def common_path(one: str, other: str) -> str:
    """The path of the lowest unit that holds both paths in its subtree; "" for units of different trees."""
    shared = ""
    for mine, theirs in zip(one.split("/")[:-1], other.split("/")[:-1], strict=False):
        if mine != theirs:
            break
        shared += f"{mine}/"
    return shared
