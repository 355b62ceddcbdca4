"""I1: every subscriber holds what the owners hold, compared by hashes at equal offsets."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from aiokafka import TopicPartition

from shared.contracts.catalogue import full_registry
from unionhall_cli.federation import token
from unionhall_cli.operations import events, outbox, services
from unionhall_cli.output import words
from unionhall_cli.verify.finding import Finding, Verdict

#: Seconds for the relay to send and the subscribers to read all that there is now.
_PATIENCE = 60.0
#: Offenders named of each kind.
_NAMED = 20


@dataclass(frozen=True)
class _Subscriber:
    """`service` holds a replica of `kind`, which `owner` publishes on `topic`."""

    kind: str
    topic: str
    owner: str
    service: str

    @property
    def what(self) -> str:
        return f"{self.owner} → {self.service}: {self.kind}"


class Digests:
    """The services' internal digests, read as a user who may see all (an overseer of the top unit)."""

    def __init__(self, user: str) -> None:
        ports = services.running().ports
        headers = {"Authorization": f"Bearer {token(user)}"}
        self._clients = {
            name: httpx.Client(
                base_url=f"http://127.0.0.1:{ports[name]}/internal/v1/digest",
                headers=headers, timeout=60, trust_env=False,
            )
            for name in services.names()
        }  # fmt: skip

    def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients.values():
            client.close()

    def read(self, service: str, kind: str, bucket: int | None = None) -> dict[str, Any] | None:
        """A digest, or ids and versions of one bucket; None if the service does not hold this kind."""
        answer = self._clients[service].get(f"/{kind}" if bucket is None else f"/{kind}/{bucket}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def digest_findings(user: str) -> Iterator[Finding]:
    """One finding for each owner's outbox, and for each replica."""
    digests = Digests(user)
    try:
        subscribers = _subscribers(digests)
        for owner in sorted({subscriber.owner for subscriber in subscribers}):
            unsent = _drain(owner)
            yield Finding.of(
                "I1", f"{owner}: outbox", [words("verify-unsent", count=unsent)] if unsent else []
            )
        for subscriber in subscribers:
            yield _compare(digests, subscriber)
    except httpx.HTTPStatusError as refusal:
        yield Finding(
            "I1",
            "digest",
            Verdict.SKIPPED,
            [words("verify-no-overseer", status=refusal.response.status_code)],
        )
    finally:
        digests.close()


def _subscribers(digests: Digests) -> list[_Subscriber]:
    """Who holds what of whom: asked of the services themselves."""
    found = []
    for topic in full_registry().topics:
        _, owner, kind, _ = topic.split(".")
        found += [
            _Subscriber(kind, topic, owner, service)
            for service in services.names()
            if service != owner and digests.read(service, kind) is not None
        ]
    return found


def _drain(owner: str) -> int:
    """Wait until the outbox is sent; how many events are not, in the end."""
    ends = time.monotonic() + _PATIENCE
    while True:
        backlog = next(one["backlog"] for one in services.do(outbox.statuses()) if one["service"] == owner)
        if not backlog or time.monotonic() > ends:
            return int(backlog)
        time.sleep(0.3)


def _compare(digests: Digests, subscriber: _Subscriber) -> Finding:
    """Each bucket that stood still at the owner while the replica read on must be the same at both."""
    ends = time.monotonic() + _PATIENCE
    pending: set[int] | None = None
    while True:
        before = digests.read(subscriber.owner, subscriber.kind) or {}
        # All that the owner held a moment ago lies before these ends, once the outbox is sent.
        _drain(subscriber.owner)
        replica, behind = _caught_up(digests, subscriber, ends)
        if behind:
            return Finding("I1", subscriber.what, Verdict.BREACH, [words("verify-behind", count=behind)])
        after = digests.read(subscriber.owner, subscriber.kind) or {}
        buckets = {int(bucket) for side in (before, replica, after) for bucket in side["buckets"]}
        pending = buckets if pending is None else pending
        still = {bucket for bucket in pending if _same(bucket, before, after)}
        differing = sorted(bucket for bucket in still if not _same(bucket, before, replica))
        if differing:
            return Finding.of("I1", subscriber.what, _offenders(digests, subscriber, differing))
        pending -= still
        if not pending:
            return Finding("I1", subscriber.what, Verdict.OK)
        if time.monotonic() > ends:
            return Finding("I1", subscriber.what, Verdict.SKIPPED, [words("verify-busy")])


def _same(bucket: int, one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["buckets"].get(str(bucket)) == other["buckets"].get(str(bucket)))


def _caught_up(digests: Digests, subscriber: _Subscriber, ends: float) -> tuple[dict[str, Any], int]:
    """The replica's digest once it has read all that is on the topic now; how much it lacks if it never does."""
    wanted = services.do(_end_offsets(subscriber.topic))
    while True:
        replica = digests.read(subscriber.service, subscriber.kind) or {}
        stands = {(at["topic"], at["partition"]): at["next_offset"] for at in replica["offsets"]}
        behind = sum(
            max(0, end - stands.get((place.topic, place.partition), 0)) for place, end in wanted.items()
        )
        if not behind or time.monotonic() > ends:
            return replica, behind
        time.sleep(0.2)


async def _end_offsets(topic: str) -> dict[TopicPartition, int]:
    places = await events.partitions([topic])
    async with events.reader() as kafka:
        found: dict[TopicPartition, int] = await asyncio.wait_for(kafka.end_offsets(places), 30)
    return found


def _offenders(digests: Digests, subscriber: _Subscriber, buckets: list[int]) -> list[str]:
    named = []
    for bucket in buckets:
        owner = digests.read(subscriber.owner, subscriber.kind, bucket) or {}
        replica = digests.read(subscriber.service, subscriber.kind, bucket) or {}
        named += [
            f"{one}: {subscriber.owner} {owner.get(one, '–')}, {subscriber.service} {replica.get(one, '–')}"
            for one in sorted(owner.keys() | replica.keys())
            if owner.get(one) != replica.get(one)
        ]
        if len(named) >= _NAMED:
            break
    return named[:_NAMED]
