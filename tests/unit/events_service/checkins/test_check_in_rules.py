import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from events_service.activities.plan import Session
from events_service.checkins import codes, domain
from events_service.checkins.domain import CheckIn, Outcome, Scanned, Verdict, Way
from shared.contracts.events_service import ActivityStage, RegistrationStatus
from shared.kernel.errors import Conflict, Forbidden, Invalid
from shared.kernel.ids import new_id
from shared.security.keys import KeyRing, Keys

NOW = datetime(2026, 3, 16, 1, 30, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
ACTIVITY = new_id()
SESSIONS = (
    Session(NOW, NOW + 2 * HOUR),
    Session(NOW + 3 * HOUR, NOW + 5 * HOUR),
    Session(NOW + 24 * HOUR, NOW + 26 * HOUR),
)


def ring(name: str = "i1", byte: int = 1, **more: bytes) -> KeyRing:
    keys = {name: bytes([byte]) * 32, **more}
    return KeyRing({purpose: Keys(name, keys) for purpose in ("field", "index", "cursor", "audit")})


RING = ring()


def test_a_code_says_what_it_is_for_until_it_expires() -> None:
    issued = codes.issue(RING, ACTIVITY, 2, NOW + 10 * SECOND)
    assert issued.expires_at == NOW + 60 * SECOND
    for moment in (NOW + 10 * SECOND, NOW + 59 * SECOND):
        assert codes.read(RING, issued.code, moment) == (ACTIVITY, 2)
    with pytest.raises(Conflict, match="check-in-code-expired"):
        codes.read(RING, issued.code, issued.expires_at)
    with pytest.raises(Conflict, match="check-in-code-expired"):
        codes.read(RING, issued.code, NOW - 31 * SECOND)


def test_a_code_changes_every_half_minute_and_with_the_session() -> None:
    made = {
        codes.issue(RING, ACTIVITY, number, NOW + step * SECOND).code
        for number in (1, 2)
        for step in (0, 29, 30)
    }
    assert len(made) == 4


def test_every_changed_bit_and_every_other_key_is_refused() -> None:
    code = codes.issue(RING, ACTIVITY, 1, NOW).code
    raw = base64.urlsafe_b64decode(code + "==")
    for place in range(len(raw)):
        forged = bytearray(raw)
        forged[place] ^= 1
        with pytest.raises(Invalid, match="check-in-code-wrong"):
            codes.read(RING, base64.urlsafe_b64encode(forged).decode().rstrip("="), NOW)
    with pytest.raises(Invalid, match="check-in-code-wrong"):
        codes.read(ring(byte=2), code, NOW)


@pytest.mark.parametrize("code", ["", "x", "中文", "A" * 52, "=" * 52, "A" * 200, " " * 52])
def test_what_was_never_a_code_is_refused(code: str) -> None:
    with pytest.raises(Invalid, match="check-in-code-wrong"):
        codes.read(RING, code, NOW)


def test_a_code_of_before_a_rotation_is_good_after_it() -> None:
    code = codes.issue(RING, ACTIVITY, 1, NOW).code
    rotated = ring("i2", 2, i1=bytes([1]) * 32)
    assert codes.read(rotated, code, NOW).activity_id == ACTIVITY


@pytest.mark.parametrize(
    ("hours", "number"),
    [
        (-2.1, None),
        (-2, 1),
        (0, 1),
        (2, 1),
        (2.5, 2),
        (3.5, 2),
        (6.9, 2),
        (7.1, None),
        (22, 3),
        (28, 3),
        (28.1, None),
    ],
)
def test_a_moment_belongs_to_the_session_that_goes_on_or_comes_next(hours: float, number: int | None) -> None:
    assert domain.session_at(SESSIONS, NOW + hours * HOUR) == number


def row(registration: UUID, at: datetime) -> Scanned:
    return Scanned(registration, at, "gate-1", "7")


def test_an_offline_entry_is_judged_by_seat_and_time() -> None:
    one = new_id()
    confirmed = RegistrationStatus.CONFIRMED
    good = domain.judge(row(one, NOW), SESSIONS, confirmed, NOW + HOUR)
    assert good == CheckIn(one, 1, NOW, Way.OFFLINE, "gate-1", "7")
    # A clock that goes a little before ours is believed, but nobody comes in the future.
    early = domain.judge(row(one, NOW + timedelta(minutes=9)), SESSIONS, confirmed, NOW)
    assert isinstance(early, CheckIn)
    assert early.attended_at == NOW
    for at, status, reason in (
        (NOW, None, "check-in-no-seat"),
        (NOW, RegistrationStatus.WAITING, "check-in-no-seat"),
        (NOW, RegistrationStatus.ENTERED, "check-in-no-seat"),
        (NOW, RegistrationStatus.CANCELLED, "check-in-no-seat"),
        (NOW + timedelta(minutes=11), confirmed, "check-in-in-future"),
        (NOW - 5 * HOUR, confirmed, "check-in-no-session-then"),
    ):
        assert domain.judge(row(one, at), SESSIONS, status, NOW) == Verdict(Outcome.REFUSED, reason)


def test_of_several_entries_the_earliest_counts_for_each_session() -> None:
    one, other = sorted([new_id(), new_id()])
    entries = [
        CheckIn(one, 2, NOW + 3 * HOUR, Way.OFFLINE),
        CheckIn(other, 1, NOW, Way.OFFLINE),
        CheckIn(one, 1, NOW + 2 * SECOND, Way.OFFLINE, "b", "1"),
        CheckIn(one, 1, NOW + SECOND, Way.OFFLINE, "a", "1"),
    ]
    assert domain.earliest(entries) == [entries[3], entries[0], entries[1]]


@pytest.mark.parametrize("stage", list(ActivityStage))
def test_nobody_comes_to_what_does_not_take_place(stage: ActivityStage) -> None:
    if stage in {ActivityStage.OPEN, ActivityStage.CLOSED, ActivityStage.HELD}:
        domain.must_take_place(stage)
    else:
        with pytest.raises(Conflict, match="check-in-not-now"):
            domain.must_take_place(stage)


def test_only_a_seat_lets_one_in() -> None:
    domain.must_have_seat(RegistrationStatus.CONFIRMED)
    for status in (
        None,
        RegistrationStatus.WAITING,
        RegistrationStatus.ENTERED,
        RegistrationStatus.CANCELLED,
    ):
        with pytest.raises(Forbidden, match="check-in-no-seat"):
            domain.must_have_seat(status)


@pytest.mark.parametrize("number", [0, -1, 4])
def test_a_session_that_is_not_there_is_refused(number: int) -> None:
    assert domain.session_number(SESSIONS, 3) is SESSIONS[2]
    with pytest.raises(Invalid, match="check-in-no-such-session"):
        domain.session_number(SESSIONS, number)
