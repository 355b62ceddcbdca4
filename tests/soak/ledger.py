"""Every command that was acknowledged, and whether it is found when all is over."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import httpx

#: Kind of aggregate -> service, table of its versions, its id there.
HISTORIES = {
    "organisations": ("membership", "organisation_history", "organisation_id"),
    "members": ("membership", "member_history", "member_id"),
    "cases": ("welfare", "case_history", "case_id"),
    "dossiers": ("welfare", "dossier_history", "dossier_id"),
    "programmes": ("welfare", "programme_history", "programme_id"),
    "activities": ("events", "activity_history", "activity_id"),
    "registrations": ("events", "registration_history", "registration_id"),
}
#: Kinds without a history: the newest version is at least the acknowledged one.
NEWEST = {
    "transfers": ("membership", "transfers"),
    "budgets": ("welfare", "budgets"),
    "payouts": ("welfare", "payouts"),
}
#: Below another aggregate something of its own is made.
_BELOW = {"registrations", "transfers"}
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
#: Keyed commands that are repeated at the end, newest first.
_REPEATED = 60


@dataclass(frozen=True)
class Keyed:
    """A command with its key and the reply that it got."""

    path: str
    body: Any
    key: str
    reply: Any


@dataclass
class Ledger:
    """What was acknowledged."""

    versions: set[tuple[str, UUID, int]] = field(default_factory=set)
    check_ins: set[UUID] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    keyed: list[Keyed] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    def hear(self, method: str, path: str, body: Any, key: str, reply: httpx.Response) -> None:
        """Note an acknowledged command. One that names no aggregate with versions is only counted."""
        self.counts[f"{method} {_ID.sub('{id}', path)}"] += 1
        kind, *rest = path.strip("/").split("/")
        content = reply.json() if reply.content else {}
        if rest[1:2] == ["check-ins"]:
            self.check_ins.add(UUID(body["registration_id"]))
            return
        if rest[1:2] and rest[1] in _BELOW:
            kind, rest = rest[1], []
        if kind not in HISTORIES and kind not in NEWEST:
            return
        version = (
            int(reply.headers["ETag"].strip('W/"')) if "ETag" in reply.headers else content.get("version")
        )
        subject = rest[0] if rest and _ID.fullmatch(rest[0]) else content.get("id")
        if subject and version:
            self.versions.add((kind, UUID(subject), version))
        if method == "POST" and not _ID.search(path) and reply.status_code == httpx.codes.CREATED:
            self.keyed.append(Keyed(path, body, key, content))

    def repeatable(self) -> list[Keyed]:
        """Commands to ask once more, with the same key."""
        return self.keyed[-_REPEATED:]

    async def missing(self, urls: dict[str, str]) -> list[str]:
        """Acknowledged versions that their owner does not have, or the gateway never heard of."""
        found: list[str] = []
        for kind, (service, table, key) in HISTORIES.items():
            wanted = {(one, version) for name, one, version in self.versions if name == kind}
            query = f"SELECT {key}, version FROM {table} WHERE {key} = ANY ($1)"
            rows = await _rows(urls[service], query, [one for one, _ in wanted])
            there = {(row[0], row[1]) for row in rows}
            found += [f"{kind} {one} version {version}" for one, version in wanted - there]
            facts = await _rows(
                urls["gateway"],
                "SELECT subject, sequence FROM facts WHERE subject = ANY ($1)",
                [one for one, _ in wanted],
            )
            told = {(row[0], row[1]) for row in facts}
            found += [f"fact of {kind} {one} version {version}" for one, version in wanted - told]
        for kind, (service, table) in NEWEST.items():
            wanted = {(one, version) for name, one, version in self.versions if name == kind}
            query = f"SELECT id, version FROM {table} WHERE id = ANY ($1)"
            rows = await _rows(urls[service], query, [one for one, _ in wanted])
            newest = {row[0]: row[1] for row in rows}
            found += [f"{kind} {one} version {v}" for one, v in wanted if newest.get(one, 0) < v]
        rows = await _rows(
            urls["events"],
            "SELECT registration_id FROM check_ins WHERE registration_id = ANY ($1)",
            list(self.check_ins),
        )
        found += [f"check-in of {one}" for one in self.check_ins - {row[0] for row in rows}]
        return found

    async def uncalled(self, urls: dict[str, str]) -> list[str]:
        """Aggregates that nobody asked for: a command that was carried out twice makes one."""
        found = []
        for kind, (service, table, key) in HISTORIES.items():
            rows = await _rows(urls[service], f"SELECT {key} FROM {table} WHERE version = 1")
            known = {one for name, one, _ in self.versions if name == kind}
            found += [f"{kind} {row[0]}" for row in rows if row[0] not in known]
        return found


async def _rows(url: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()
