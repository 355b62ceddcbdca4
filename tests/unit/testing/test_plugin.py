"""The fixtures that all other tests lean on."""

import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from pytest_socket import SocketBlockedError

from shared.testing import Eventually, StoppedClock
from shared.testing.plugin import CrashPoints

PASSES_TWICE = "from shared.kernel.crash import crash_point; [crash_point('relay.after_send') for _ in 'ab']; print('alive')"


def run(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PASSES_TWICE]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(
    ("name", "hit", "code"),
    [
        ("relay.after_send", 1, 137),
        ("relay.after_send", 2, 137),
        ("relay.after_send", 3, 0),
        ("relay.before_send", 1, 0),
    ],
)
def test_a_process_dies_at_the_named_place_and_pass(
    crash_points: CrashPoints, name: str, hit: int, code: int
) -> None:
    done = run(crash_points.environment(name, hit))
    assert done.returncode == code, done.stderr
    assert ("alive" in done.stdout) is (code == 0)


def test_a_place_that_does_not_exist_is_said_at_once(crash_points: CrashPoints) -> None:
    with pytest.raises(KeyError):
        crash_points.environment("relay.nowhere")
    done = run({"UNIONHALL_CRASH_POINT": "relay.nowhere"})
    assert done.returncode not in {0, 137}
    assert "no such crash point" in done.stderr


def test_the_clock_stands_until_it_is_moved(clock: StoppedClock) -> None:
    before = clock.now()
    assert clock.now() == before
    assert clock.advance(timedelta(days=1)) == before + timedelta(days=1)


async def test_waiting_ends_with_what_came(eventually: Eventually) -> None:
    answers = iter([0, 0, 7])
    assert await eventually(lambda: next(answers), timeout=5, every=0.001) == 7


async def test_waiting_forgives_an_assertion_that_holds_later(eventually: Eventually) -> None:
    tries: list[int] = []

    async def probe() -> bool:
        tries.append(1)
        assert len(tries) == 3
        return True

    assert await eventually(probe, timeout=5, every=0.001)


async def test_waiting_in_vain_says_what_was_seen_last(eventually: Eventually) -> None:
    with pytest.raises(AssertionError, match=r"last: .*not yet") as caught:
        await eventually(lambda: "" or _fail("not yet"), timeout=0.05, every=0.01)
    assert "0.05 s" in str(caught.value)


def _fail(said: str) -> bool:
    raise AssertionError(said)


def test_a_unit_test_has_no_network() -> None:
    with pytest.warns(UserWarning, match="tried to use socket"), pytest.raises(SocketBlockedError):
        socket.socket()
