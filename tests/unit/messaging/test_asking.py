"""What a consumer's client asks about: nothing while a batch is applied, busy topics right after it, all of them soon."""

import pytest
from aiokafka import TopicPartition

from shared.messaging import consumer_asking
from shared.messaging.consumer_asking import ALL_EVERY, BUSY_FOR, Asking

BUSY, QUIET = TopicPartition("busy", 0), TopicPartition("quiet", 0)


class Client:
    """The part of the client that is asked."""

    def __init__(self) -> None:
        self._paused: set[TopicPartition] = set()

    def assignment(self) -> set[TopicPartition]:
        return {BUSY, QUIET}

    def pause(self, *places: TopicPartition) -> None:
        self._paused.update(places)

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    def resume(self, *places: TopicPartition) -> None:
        self._paused.difference_update(places)


class Clock:
    """Stands until it is set."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(consumer_asking, "time", clock)
    return clock


def test_quiet_topics_wait_a_moment_while_another_is_busy(clock: Clock) -> None:
    client, asking = Client(), Asking()
    asking.heard({"busy"})
    asking.hold(client)
    assert client.paused() == {BUSY, QUIET}
    asking.go_on(client)
    assert client.paused() == set()
    asking.hold(client)
    asking.go_on(client)
    assert client.paused() == {QUIET}
    clock.now += ALL_EVERY
    asking.go_on(client)
    assert client.paused() == set()


def test_when_nothing_is_busy_all_are_asked_about(clock: Clock) -> None:
    client, asking = Client(), Asking()
    asking.heard({"busy"})
    asking.hold(client)
    asking.go_on(client)
    asking.hold(client)
    clock.now += BUSY_FOR
    asking._all_due = clock.now + 1
    asking.go_on(client)
    assert client.paused() == set()
