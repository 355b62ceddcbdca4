"""Check-ins: who was at which session, when, and how that is known. Pure: no IO.

A registration has one check-in for each session, with the earliest moment that any source knows of.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from events_service.activities.plan import Session
from shared.contracts.events_service import ActivityStage, RegistrationStatus
from shared.kernel.errors import Conflict, Forbidden, Invalid

#: People come before a session begins, and some sign in only when they leave.
BEFORE: Final = timedelta(hours=2)
AFTER: Final = timedelta(hours=2)
#: How far the clock of a device may go before ours.
CLOCK_DIFFERENCE: Final = timedelta(minutes=10)
MAX_ROWS: Final = 1000
#: Stages in which somebody may come: registration may be open until the first session begins.
TAKING_PLACE: Final = frozenset({ActivityStage.OPEN, ActivityStage.CLOSED, ActivityStage.HELD})


class Way(StrEnum):
    """How a check-in came about: the member scanned a code, an organiser ticked a list, or a device did while offline."""

    CODE = "code"
    HAND = "hand"
    OFFLINE = "offline"


class Outcome(StrEnum):
    """What became of one check-in."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


class CheckIn(NamedTuple):
    """Somebody was there. Sessions count from 1; `device_id` and `local_id` name the entry on the device it came from."""

    registration_id: UUID
    session_number: int
    attended_at: datetime
    way: Way
    device_id: str | None = None
    local_id: str | None = None


class Scanned(NamedTuple):
    """One entry of a device that was offline."""

    registration_id: UUID
    at: datetime
    device_id: str
    local_id: str


class Verdict(NamedTuple):
    """What became of an entry, and the code of the reason if it was refused."""

    outcome: Outcome
    reason: str | None = None
    session_number: int | None = None


def must_take_place(stage: ActivityStage) -> None:
    """Raises Conflict for an activity that nobody can come to (yet, or any more)."""
    if stage not in TAKING_PLACE:
        raise Conflict("check-in-not-now")


def must_have_seat(status: RegistrationStatus | None) -> None:
    """Raises Forbidden for somebody without a seat: not registered, waiting, cancelled, not drawn."""
    if status is not RegistrationStatus.CONFIRMED:
        raise Forbidden("check-in-no-seat")


def session_number(sessions: Sequence[Session], number: int) -> Session:
    """The session of that number. Raises Invalid."""
    if not 1 <= number <= len(sessions):
        raise Invalid("check-in-no-such-session", field="session")
    return sessions[number - 1]


def is_around(session: Session, at: datetime) -> bool:
    """Whether one may sign in to the session at that moment."""
    return session.starts_at - BEFORE <= at <= session.ends_at + AFTER


def session_at(sessions: Sequence[Session], at: datetime) -> int | None:
    """The number of the session that somebody who signs in at that moment comes to; None if there is none around it.

    Between two sessions it is the one that goes on, else the next to begin, else the one that ended.
    """
    around = [(number, one) for number, one in enumerate(sessions, 1) if is_around(one, at)]
    for number, one in around:
        if at <= one.ends_at:
            return number
    return around[-1][0] if around else None


def judge(
    row: Scanned, sessions: Sequence[Session], status: RegistrationStatus | None, now: datetime
) -> CheckIn | Verdict:
    """The check-in that an offline entry makes, or why it makes none."""
    if status is not RegistrationStatus.CONFIRMED:
        return Verdict(Outcome.REFUSED, "check-in-no-seat")
    if row.at > now + CLOCK_DIFFERENCE:
        return Verdict(Outcome.REFUSED, "check-in-in-future")
    at = min(row.at, now)
    number = session_at(sessions, at)
    if number is None:
        return Verdict(Outcome.REFUSED, "check-in-no-session-then")
    return CheckIn(row.registration_id, number, at, Way.OFFLINE, row.device_id, row.local_id)


def earliest(check_ins: Sequence[CheckIn]) -> list[CheckIn]:
    """For each registration and session the first of its check-ins, in the order of (registration, session)."""
    kept: dict[tuple[UUID, int], CheckIn] = {}
    for one in sorted(check_ins, key=lambda one: one.attended_at):
        kept.setdefault((one.registration_id, one.session_number), one)
    return [kept[key] for key in sorted(kept)]
